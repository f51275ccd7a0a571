"""Ends steps of BestExporter by signals, and runs them again with the same ExecutorInput."""

import dataclasses
import json
import os
import queue
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests import waiting
from tests.fault_proxy import FaultProxy, Request, fault_proxy
from tests.image.inputs import INPUTS_SPEC, artifact
from tests.servers import environment_of, s3_server
from tfx_best_exporter.executor import container
from tfx_best_exporter.executor.running import termination

pytestmark = pytest.mark.slow

BUCKET = "signals"
# A lease that a killed process leaves expires after 60 seconds.
AT_ONCE_SECONDS = 5.0
# A waiting step looks at the lock once a second, and works until it calls its compare function.
SOON_SECONDS = 30.0
# Nothing is measured by this limit. On a busy machine, TFX's entry point imports for minutes.
STEP_SECONDS = 300.0
# Signals of one test are sent at so many different requests.
MOMENTS = 5

# A compare function that catches what it can, as user code does.
COMPARING = """
import os, pathlib, time

def compare_fn(best_eval_result, current_eval_result):
    if started := os.environ.get("STARTED"):
        pathlib.Path(started).touch()
    if marker := os.environ.get("MARKER"):
        for _ in range(3):
            try:
                # The first signal must arrive in this block.
                pathlib.Path(marker).touch()
                time.sleep(60)
            except Exception:
                pass
            except:
                print("swallowed", flush=True)
        time.sleep(60)
    return True
"""


@dataclasses.dataclass(kw_only=True)
class Steps:
    """Steps with one base directory.

    Attributes:
        path: Directory with the candidates, an evaluation and the local outputs.
        proxy: Proxy of the S3 server.
        store: Client of the S3 server.
        base_uri: Base directory.
        outputs_uri: Parent directory of the outputs.
    """

    path: Path
    proxy: FaultProxy
    store: Any
    base_uri: str
    outputs_uri: str

    def start(
        self,
        name: str,
        model: str,
        executor: str = container.OUR_EXECUTORS[0],
        plan: Callable[[Request], None] = lambda _: None,
        **environment: str,
    ) -> subprocess.Popen[str]:
        """Starts a step; the same name means the same ExecutorInput."""
        # The proxy has the requests of this step only, from the first one on.
        self.proxy.plan(plan)
        words = [
            "--executor_class_path",
            executor,
            "--json_serialized_invocation_args",
            json.dumps(self._executor_input(name, model)),
            "--json_serialized_inputs_spec_args",
            json.dumps(INPUTS_SPEC),
        ]
        path = os.pathsep.join([str(self.path / "installed"), *sys.path])
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", container.__name__, *words],
            env={
                **os.environ,
                **environment_of("s3", self.proxy.url),
                "PYTHONPATH": path,
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _executor_input(self, name: str, model: str) -> dict[str, Any]:
        def output(channel: str, kind: str) -> dict[str, Any]:
            result = artifact(kind, Path("unused"))
            result["artifacts"][0]["uri"] = f"{self.outputs_uri}/{name}/{channel}"
            return result

        destination = {"filesystem": {"base_directory": self.base_uri}}
        policy = {"compareFn": "team_models.comparing.compare_fn"}
        return {
            "inputs": {
                "artifacts": {
                    "model": artifact("tfx.Model", self.path / model),
                    "evaluation": artifact("tfx.ModelEvaluation", self.path / "paired"),
                },
                "parameterValues": {
                    "push_destination": json.dumps(destination),
                    "compare_policy": json.dumps(policy),
                    "as_text": 0,
                },
            },
            "outputs": {
                "artifacts": {
                    "pushed_model": output("pushed_model", "tfx.PushedModel"),
                    "decision": output("decision", "best_exporter.ExportDecision"),
                },
                "outputFile": self.output_path(name),
            },
        }

    def output_path(self, name: str) -> str:
        return str(self.path / f"{name}.json")

    def run(self, name: str, model: str) -> dict[str, Any]:
        """Runs a step to its end, and returns the custom properties of its PushedModel."""
        with self.start(name, model) as process:
            log, _ = process.communicate(timeout=STEP_SECONDS)
        assert process.returncode == 0, log
        assert "waiting for the lock" not in log
        output = json.loads(Path(self.output_path(name)).read_text())
        return output["artifacts"]["pushed_model"]["artifacts"][0]["metadata"]

    def files(self, uri: str) -> list[str]:
        """Returns the relative paths of all files below a local path or an s3:// URI."""
        if not uri.startswith("s3://"):
            return sorted(
                p.relative_to(uri).as_posix() for p in Path(uri).rglob("*") if p.is_file()
            )
        prefix = uri.removeprefix(f"s3://{BUCKET}/") + "/"
        pages = self.store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        contents = [each for page in pages for each in page.get("Contents", [])]
        return sorted(each["Key"].removeprefix(prefix) for each in contents)

    def state(self) -> tuple[list[str], list[str]]:
        """Returns the files in the base directory without their versions, and the outputs'.

        A step that reads a version writes a stamp for it if the version's files are old enough.
        """
        files = [
            "/".join("<version>" if part.isdecimal() else part for part in name.split("/"))
            for name in self.files(self.base_uri)
            if "/stamps/" not in name
        ]
        return files, self.files(self.outputs_uri)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with s3_server(BUCKET) as result:
        yield result


@pytest.fixture(scope="module")
def candidates(
    tmp_path_factory: pytest.TempPathFactory,
    write_model: Callable[..., Path],
    evaluations: dict[str, Path],
) -> Path:
    """Returns a directory with two models, their evaluation and a package of user code."""
    path = tmp_path_factory.mktemp("signals")
    write_model(path / "model_a" / "Format-Serving", 1.0)
    write_model(path / "model_b" / "Format-Serving", 2.0)
    (path / "paired").symlink_to(evaluations["paired"])
    package = path / "installed" / "team_models"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "comparing.py").write_text(COMPARING)
    return path


@pytest.fixture
def make_steps(candidates: Path, url: str, tmp_path: Path) -> Iterator[Callable[..., Steps]]:
    """Returns a function that makes steps with the base directory or the outputs on S3."""
    store = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    with fault_proxy(url) as proxy:

        def make(*, base_on_s3: bool) -> Steps:
            name = uuid.uuid4().hex
            uris = f"s3://{BUCKET}/{name}", str(tmp_path / name)
            base_uri, outputs_uri = uris if base_on_s3 else uris[::-1]
            return Steps(
                path=candidates,
                proxy=proxy,
                store=store,
                base_uri=f"{base_uri}/serving",
                outputs_uri=f"{outputs_uri}/outputs",
            )

        yield make
    store.close()


def test_the_lease_is_given_back(make_steps: Callable[..., Steps], tmp_path: Path):
    steps = make_steps(base_on_s3=True)
    steps.run("first", "model_a")
    marker = tmp_path / "comparing"
    with steps.start("second", "model_b", MARKER=str(marker)) as process:
        waiting.until(marker.exists, STEP_SECONDS)
        assert ".best_exporter/lock" in steps.files(steps.base_uri)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        log, _ = process.communicate(timeout=STEP_SECONDS)
        # User code has swallowed the exception three times, and it was raised again.
        assert log.count("swallowed") == 3, log
        assert time.monotonic() - started < AT_ONCE_SECONDS
    assert process.returncode == termination.EXIT_CODE
    assert ".best_exporter/lock" not in steps.files(steps.base_uri)
    assert steps.run("second", "model_b")["reason"] == "BETTER"


def test_the_next_run_need_not_wait(make_steps: Callable[..., Steps], tmp_path: Path):
    steps = make_steps(base_on_s3=True)
    steps.run("first", "model_a")
    marker = tmp_path / "comparing"
    with steps.start("second", "model_b", MARKER=str(marker)) as evicted:
        waiting.until(marker.exists, STEP_SECONDS)
        third_started = tmp_path / "third"
        with steps.start("third", "model_b", STARTED=str(third_started)) as third:
            assert third.stdout
            for line in third.stdout:
                if "waiting for the lock" in line:
                    break
            evicted.send_signal(signal.SIGTERM)
            # The compare function runs while the lock is held.
            waiting.until(third_started.exists, timeout_seconds=SOON_SECONDS)
            log, _ = third.communicate(timeout=STEP_SECONDS)
            assert third.returncode == 0, log
        evicted.communicate(timeout=STEP_SECONDS)


@pytest.mark.e2e
def test_another_component(make_steps: Callable[..., Steps], tmp_path: Path):
    steps = make_steps(base_on_s3=True)
    marker = tmp_path / "working"
    executor = "tests.containers.components.Waiter"
    with steps.start("other", "model_a", executor, MARKER=str(marker)) as process:
        waiting.until(marker.exists, STEP_SECONDS)
        process.send_signal(signal.SIGTERM)
        log, _ = process.communicate(timeout=AT_ONCE_SECONDS)
    assert process.returncode == termination.EXIT_CODE, log
    assert not Path(steps.output_path("other")).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_retried_step_ends_as_an_undisturbed_one(
    make_steps: Callable[..., Steps], number: signal.Signals
):
    """The signal is sent at requests from the first one to the last.

    SIGKILL leaves the lease of a base directory on S3, so that base directory is on a disk.
    """
    base_on_s3 = number == signal.SIGTERM
    undisturbed = make_steps(base_on_s3=base_on_s3)
    properties = undisturbed.run("step", "model_a")
    assert properties["reason"] == "FIRST_EXPORT"
    requests = number_of(undisturbed.proxy.requests)
    assert requests > MOMENTS
    for moment in range(MOMENTS):
        steps = make_steps(base_on_s3=base_on_s3)
        when = 1 + moment * (requests - 1) // (MOMENTS - 1)
        started: queue.SimpleQueue[subprocess.Popen[str]] = queue.SimpleQueue()
        plan = signal_at(steps.proxy.requests, when, started, number)
        process = steps.start("step", "model_a", plan=plan)
        started.put(process)
        log, _ = process.communicate(timeout=STEP_SECONDS)
        assert process.returncode in (termination.EXIT_CODE, -number), (when, log)
        retried = steps.run("step", "model_a")
        assert retried["reason"] in ("FIRST_EXPORT", "ALREADY_BEST")
        assert retried["pushed"] == 1
        assert steps.state() == undisturbed.state(), when


def signal_at(
    requests: Sequence[Request],
    when: int,
    started: queue.SimpleQueue[subprocess.Popen[str]],
    number: signal.Signals,
) -> Callable[[Request], None]:
    """Returns a plan that sends a signal to a process at its nth request."""

    def plan(_: Request) -> None:
        if number_of(requests) == when:
            process = started.get()
            process.send_signal(number)
            # A renewal of the lease does not change the number.
            started.put(process)

    return plan


def number_of(requests: Sequence[Request]) -> int:
    """Returns the number of requests without renewals of the lease, which only a slow step has."""
    writes = [each for each in requests if each.method == "PUT" and "/lock" in each.path]
    return len(requests) - max(0, len(writes) - 1)
