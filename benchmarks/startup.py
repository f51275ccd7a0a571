"""What a step costs that finds that a model is not better, beside one of Pusher: whole processes.

Both run the command of a compiled pipeline on the same model, as the container of a step does, and
are measured by the system: seconds from start to end, and the largest resident memory.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.ratios import MIB, Ratio, ratio_of, write_model
from pipelines.compiled import ENTRY_POINT

MAX_OF_PUSHER = 0.9
METRIC = "binary_accuracy"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """What a process took: seconds, and bytes of memory at most."""

    seconds: float
    peak: float


def compiled(root: Path, commands: Sequence[str] | None) -> dict[str, Any]:
    """Returns a compiled pipeline of BestExporter and Pusher.

    Args:
        root: Where the base directories lie.
        commands: Entry point of the containers; None for TFX's own.
    """
    from tfx import v1 as tfx

    from tfx_best_exporter.component import BestExporter
    from tfx_best_exporter.proto import best_exporter_pb2 as pb

    imported = {
        name: tfx.dsl.Importer(source_uri=str(root / name), artifact_type=artifact_type).with_id(
            name
        )
        for name, artifact_type in (
            ("model", tfx.types.standard_artifacts.Model),
            ("evaluation", tfx.types.standard_artifacts.ModelEvaluation),
            ("blessing", tfx.types.standard_artifacts.ModelBlessing),
        )
    }
    model, evaluation, blessing = (each.outputs["result"] for each in imported.values())

    def destination(name: str) -> Any:
        return tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=str(root / name))
        )

    policy = pb.ComparePolicy(
        metric=pb.MetricRule(metric=pb.MetricKey(name=METRIC), direction=pb.HIGHER_IS_BETTER)
    )
    components = [
        *imported.values(),
        BestExporter(
            model=model,
            evaluation=evaluation,
            model_blessing=blessing,
            push_destination=destination("serving"),
            compare_policy=policy,
        ),
        tfx.components.Pusher(
            model=model, model_blessing=blessing, push_destination=destination("pushed")
        ),
    ]
    runner = tfx.orchestration.experimental.KubeflowV2DagRunner(
        tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(
            default_image="image", default_commands=commands, use_pipeline_spec_2_1=True
        )
    )
    pipeline = tfx.dsl.Pipeline(
        pipeline_name="startup", pipeline_root=str(root), components=components
    )
    return runner.run(pipeline, write_out=False)


def command_of(job: dict[str, Any], node_id: str, root: Path) -> list[str]:
    """Returns the command line of a step, with what it is given."""
    from tests.containers.launcher import Artifact, Step

    step = Step.of(job, node_id)
    inputs = {
        "model": Artifact(uri=str(root / "model")),
        "evaluation": Artifact(uri=str(root / "evaluation")),
        "model_blessing": Artifact(uri=str(root / "blessing"), properties={"blessed": 1.0}),
    }
    wanted = step.component["inputDefinitions"]["artifacts"]
    executor_input = step.executor_input(
        {name: artifact for name, artifact in inputs.items() if name in wanted},
        platform="kubeflow",
        outputs_uri=str(root / "outputs"),
        output_file=str(root / "outputs" / "executor_output.json"),
    )
    return [sys.executable, *step.command(executor_input)[1:]]


# A process begins with the peak memory of the one that started it: a small one starts it.
_MEASURE_SCRIPT = """
import json, os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[2:], stdout=sys.stderr)
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - started
with open(sys.argv[1], "w") as file:
    json.dump({"seconds": seconds, "peak": usage.ru_maxrss * 1024}, file)
sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""


def cost_of(command: Sequence[str], root: Path) -> Cost:
    """Runs a command, and returns what it took.

    Raises:
        RuntimeError: It failed.
    """
    cost_path = root / "cost.json"
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _MEASURE_SCRIPT, str(cost_path), *command],
        capture_output=True,
        text=True,
    )
    if run.returncode:
        raise RuntimeError(f"{command[:5]} must succeed (got {run.stderr[-2000:]}).")
    return Cost(**json.loads(cost_path.read_text()))


def starting(root: Path, pairs: int) -> Iterator[Ratio]:
    """Yields time and memory of a step that is not better, beside Pusher's and beside TensorFlow.

    Through TFX's entry point BestExporter imports what Pusher imports: figures without a limit.
    """
    from tests.evaluations import write_evaluations
    from tfx_best_exporter.executor.evaluations import tfma as evaluation
    from tfx_best_exporter.executor.exporter import ModelExporter

    write_evaluations(root, ["paired"])
    (root / "paired").rename(root / "evaluation")
    write_model(root / "model" / "Format-Serving")
    write_model(root / "best", count=1, size=1)
    ModelExporter(root / "serving", compare_fn="benchmarks.startup.is_larger").export(
        root / "best", evaluation.from_tfma(root / "evaluation")
    )
    job, tfx_job = compiled(root, ENTRY_POINT), compiled(root, None)
    pusher = command_of(tfx_job, "Pusher", root)
    commands = {
        "not better, beside Pusher": (command_of(job, "BestExporter", root), pusher, MAX_OF_PUSHER),
        "not better through TFX's entry point, beside Pusher": (
            command_of(tfx_job, "BestExporter", root),
            pusher,
            None,
        ),
        "not better, beside importing TensorFlow": (
            command_of(job, "BestExporter", root),
            [sys.executable, "-c", "import tensorflow"],
            None,
        ),
    }
    for name, (ours, peer, limit) in commands.items():
        measured = []
        for index in range(pairs + 1):
            costs = {}
            order = [("ours", ours), ("peer", peer)]
            for who, command in order if index % 2 else order[::-1]:
                shutil.rmtree(root / "outputs", ignore_errors=True)
                costs[who] = cost_of(command, root)
                if who == "ours":
                    decision = json.loads((root / "outputs/decision/decision.json").read_text())
                    assert decision["reason"] == "NOT_BETTER"
            # The first pair warms the disk's cache.
            if index:
                measured.append((costs["ours"], costs["peer"]))
        yield ratio_of(
            f"process, {name}", [(ours.seconds, peer.seconds) for ours, peer in measured], limit
        )
        yield ratio_of(
            f"peak memory, {name}",
            [(ours.peak / MIB, peer.peak / MIB) for ours, peer in measured],
            limit,
            unit="MiB",
        )


def is_larger(best_eval_result: Any, current_eval_result: Any) -> bool:
    """Returns whether the candidate's metric is larger."""
    return current_eval_result[METRIC] > best_eval_result[METRIC]
