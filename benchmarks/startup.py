"""Measures the process of a step whose model is not better, compared with a step of Pusher.

Both steps run the command of a compiled pipeline on the same model, as a container does. The
operating system measures the seconds from start to end and the largest resident memory. For the
step with `examples`, the baseline of the evaluation is the served model, so no model is evaluated
again.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import MIB, expect, pairs_with_each, rounds_of, write_model
from benchmarks.rows import Row, difference_of, ratio_of
from pipelines.compiled import ENTRY_POINT

MAX_OF_PUSHER = 0.15
# Limit in seconds of importing the engine, minus importing protobuf.
MAX_IMPORT_MORE = 0.5
METRIC = "binary_accuracy"
WITH_EXAMPLES = "BestExporterWithExamples"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Duration of a process in seconds, and its largest resident memory in bytes."""

    seconds: float
    peak: float


def compiled(root: Path, commands: Sequence[str] | None) -> dict[str, Any]:
    """Returns a compiled pipeline with Pusher and two BestExporters, one of them with examples.

    Args:
        root: Parent of the base directories.
        commands: Entry point of the containers; None for TFX's.
    """
    from tfx import v1 as tfx

    from tfx_best_exporter.component import BestExporter
    from tfx_best_exporter.proto import best_exporter_pb2 as pb

    artifacts = tfx.types.standard_artifacts
    imported = {
        name: tfx.dsl.Importer(source_uri=str(root / name), artifact_type=artifact_type).with_id(
            name
        )
        for name, artifact_type in (
            ("model", artifacts.Model),
            ("evaluation", artifacts.ModelEvaluation),
            ("blessing", artifacts.ModelBlessing),
            ("examples", artifacts.Examples),
        )
    }
    model, evaluation, blessing, examples = (each.outputs["result"] for each in imported.values())

    def destination(name: str) -> Any:
        return tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=str(root / name))
        )

    policy = pb.ComparePolicy(
        metric=pb.MetricRule(
            metric=pb.MetricKey(name=METRIC),
            direction=pb.HIGHER_IS_BETTER,
            # The candidate and the baseline of the evaluation differ by less than this minimum.
            min_absolute_change=0.9,
        )
    )
    given: dict[str, Any] = {
        "model": model,
        "evaluation": evaluation,
        "model_blessing": blessing,
        "push_destination": destination("serving"),
        "compare_policy": policy,
    }
    components = [
        *imported.values(),
        BestExporter(**given),
        BestExporter(**given, examples=examples).with_id(WITH_EXAMPLES),
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
    """Returns the command line of a step with its inputs.

    The inputs are those of Vertex AI: TFX's own entry point fails with those of Kubeflow Pipelines.

    Args:
        job: Compiled pipeline.
        node_id: ID of the step.
        root: Parent of the artifacts.
    """
    from tests.containers.launcher import VERTEX, Artifact, Step

    step = Step.of(job, node_id)
    evaluation = "paired_evaluation" if node_id == WITH_EXAMPLES else "evaluation"
    inputs = {
        "model": Artifact(uri=str(root / "model")),
        "evaluation": Artifact(uri=str(root / evaluation)),
        "model_blessing": Artifact(uri=str(root / "blessing"), properties={"blessed": 1.0}),
        "examples": Artifact(
            uri=str(root / "examples"), properties={"split_names": '["train", "eval"]'}
        ),
    }
    wanted = step.component["inputDefinitions"]["artifacts"]
    executor_input = step.executor_input(
        {name: artifact for name, artifact in inputs.items() if name in wanted},
        flavor=VERTEX,
        outputs_uri=str(root / "outputs"),
        output_file=str(root / "outputs" / "executor_output.json"),
    )
    return [sys.executable, *step.command(executor_input)[1:]]


# A process inherits the peak memory of its parent. This script is a parent with little memory.
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
    """Runs a command and returns its cost.

    Raises:
        RuntimeError: The command failed.
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


def write_inputs(root: Path) -> None:
    """Writes a model, an export of another model, and two evaluations of the model.

    The baseline of one of the evaluations is the exported model.
    """
    from tests.evaluations import write_evaluations
    from tfx_best_exporter.executor.evaluations import tfma as evaluation
    from tfx_best_exporter.executor.exporter import ModelExporter

    write_evaluations(root, ["paired"])
    (root / "paired").rename(root / "evaluation")
    write_model(root / "model" / "Format-Serving")
    write_model(root / "best", count=1, size=1)
    exported = ModelExporter(root / "serving", compare_fn="benchmarks.startup.is_larger").export(
        root / "best", evaluation.from_tfma(root / "evaluation")
    )
    shutil.copytree(root / "evaluation", root / "paired_evaluation")
    config_path = root / "paired_evaluation" / "eval_config.json"
    config = json.loads(config_path.read_text())
    (baseline,) = [spec for spec in config["evalConfig"]["modelSpecs"] if spec.get("isBaseline")]
    config["modelLocations"] = {baseline["name"]: exported}
    config_path.write_text(json.dumps(config))


def starting(root: Path, pairs: int) -> Iterator[Row]:
    """Yields rows for the time and memory of steps whose model is not better.

    With TFX's entry point BestExporter imports the same modules as Pusher, so those figures have no
    limit. The last row is the time to import the engine, minus the time to import protobuf.
    """
    write_inputs(root)
    job, tfx_job = compiled(root, ENTRY_POINT), compiled(root, None)
    steps = {
        "without examples": command_of(job, "BestExporter", root),
        "with examples": command_of(job, WITH_EXAMPLES, root),
        "with TFX's entry point": command_of(tfx_job, "BestExporter", root),
    }
    others = {
        "Pusher": command_of(tfx_job, "Pusher", root),
        "importing TensorFlow": [sys.executable, "-c", "import tensorflow"],
    }
    contestants = {
        **{name: _measuring(command, root, is_step=True) for name, command in steps.items()},
        **{name: _measuring(command, root) for name, command in others.items()},
    }
    rounds = [*rounds_of(contestants, pairs)]
    for step, peer, limit in (
        ("without examples", "Pusher", MAX_OF_PUSHER),
        ("with examples", "Pusher", MAX_OF_PUSHER),
        ("with TFX's entry point", "Pusher", None),
        ("without examples", "importing TensorFlow", None),
    ):
        measured = [(each[step], each[peer]) for each in rounds]
        name = f"step {step}, not better, compared with {peer}"
        yield ratio_of(
            f"duration, {name}", [(ours.seconds, peer.seconds) for ours, peer in measured], limit
        )
        yield ratio_of(
            f"peak memory, {name}",
            [(ours.peak / MIB, peer.peak / MIB) for ours, peer in measured],
            limit,
            unit="MiB",
        )
    yield _importing(root, pairs)


def _importing(root: Path, pairs: int) -> Row:
    engine, protobuf = (
        _measuring([sys.executable, "-c", f"import {module}"], root)
        for module in ("tfx_best_exporter.executor.exporter", "google.protobuf.descriptor_pb2")
    )
    measured = pairs_with_each(engine, {"protobuf": protobuf}, pairs)["protobuf"]
    return difference_of(
        "duration, importing executor.exporter, compared with importing protobuf",
        [(ours.seconds, peer.seconds) for ours, peer in measured],
        MAX_IMPORT_MORE,
    )


def _measuring(command: Sequence[str], root: Path, *, is_step: bool = False) -> Callable[[], Cost]:
    """Returns a function that runs a command once.

    Args:
        command: Command line.
        root: Directory of its outputs.
        is_step: Whether its decision must be NOT_BETTER.
    """

    def measure() -> Cost:
        shutil.rmtree(root / "outputs", ignore_errors=True)
        cost = cost_of(command, root)
        if is_step:
            decision = json.loads((root / "outputs/decision/decision.json").read_text())
            expect(decision["reason"] == "NOT_BETTER", "the model must not be better", decision)
        return cost

    return measure


def is_larger(best_eval_result: Any, current_eval_result: Any) -> bool:
    """Returns True if the candidate's metric is larger."""
    return current_eval_result[METRIC] > best_eval_result[METRIC]
