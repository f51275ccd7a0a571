"""TFX's own example pipelines with the change that README.md shows: `make test-pipelines`.

The examples train Keras 3 models and save them with tf.saved_model.save, so a model server cannot
run them as they are.
"""

import csv
import dataclasses
import importlib.resources
import re
import sys
import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from google.protobuf import json_format
from tfx import v1 as tfx

from pipelines import decisions, penguin_pipeline
from tests.model_server import answer
from tfx_best_exporter.proto import best_exporter_pb2 as pb

pytestmark = pytest.mark.pipelines

EXAMPLES = Path(str(importlib.resources.files("tfx"))) / "examples"
TAXI_PATH = EXAMPLES / "chicago_taxi_pipeline"
README = Path(__file__).resolve().parents[2] / "README.md"
# Beam starts no workers for this little data.
BEAM_ARGUMENTS = ["--direct_running_mode=in_memory", "--direct_num_workers=1"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """One of TFX's example pipelines, with its data.

    Attributes:
        make: Builds the pipeline, with the base directory tmp_path/serving.
        metric: The only metric with a threshold in its EvalConfig.
        steps: Numbers of training steps of two models.
    """

    make: Callable[[], Any]
    metric: str
    steps: tuple[int, int]


def changed(path: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Returns a module of TFX with the changes of both diffs in README.md.

    A diff changes the calls and the imports. The arguments that it shows as context, and the base
    directory, are those of the module.
    """
    source = path.read_text()
    call, resolver = re.findall(
        r"^```diff\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE
    )
    source = with_change(source, call, r"pusher = (?:tfx\.components\.)?Pusher\(")
    source = with_change(source, resolver, r"strategy_class=[\w.]+\.LatestBlessedModel\w+,")
    module = types.ModuleType(f"changed_{path.stem}")
    # TFX looks up the annotations of components that are functions in their module.
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module


def with_change(source: str, diff: str, old: str) -> str:
    """Returns source code with the change of a diff.

    Args:
        source: Code of a pipeline.
        diff: The diff, whose line with "-" stands for the line of this pipeline.
        old: Pattern of that line in the code.
    """
    new = [line[1:] for line in diff.splitlines() if line.startswith("+") and line != "+"]
    (imported,) = (line for line in new if " import " in line)
    new.remove(imported)
    code = textwrap.dedent("\n".join(new)).replace('"/serving/penguin"', "serving_model_dir")
    ((start, indent),) = (
        (match.start(), match[1]) for match in re.finditer(rf"^( *){old}\n", source, re.MULTILINE)
    )
    end = source.index("\n", start)
    source = source[:start] + textwrap.indent(code, indent) + source[end:]
    return source.replace("\nimport os\n", f"\nimport os\n{imported}\n", 1)


def taxi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Example:
    write_taxi_trips(tmp_path / "data" / "data.csv", 3000)
    module = changed(TAXI_PATH / "taxi_pipeline_native_keras.py", monkeypatch)
    return Example(
        make=lambda: module._create_pipeline(
            pipeline_name="taxi",
            pipeline_root=str(tmp_path / "root"),
            data_root=str(tmp_path / "data"),
            module_file=str(TAXI_PATH / "taxi_utils_native_keras.py"),
            serving_model_dir=str(tmp_path / "serving"),
            metadata_path=str(tmp_path / "metadata.sqlite"),
            beam_pipeline_args=BEAM_ARGUMENTS,
        ),
        metric="binary_accuracy",
        steps=(100, 150),
    )


def penguin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Example:
    write_penguins(tmp_path / "data" / "labelled" / "penguins.csv")
    module = changed(EXAMPLES / "penguin" / "penguin_pipeline_local.py", monkeypatch)
    return Example(
        make=lambda: module.create_pipeline(
            pipeline_name="penguin",
            pipeline_root=str(tmp_path / "root"),
            data_root=str(tmp_path / "data"),
            module_file=str(EXAMPLES / "penguin" / "penguin_utils_keras.py"),
            accuracy_threshold=0.1,
            serving_model_dir=str(tmp_path / "serving"),
            metadata_path=str(tmp_path / "metadata.sqlite"),
            user_provided_schema_path=None,
            enable_tuning=False,
            enable_bulk_inferrer=False,
            enable_example_diff=False,
            examplegen_input_config=None,
            examplegen_range_config_date=None,
            resolver_range_config=None,
            beam_pipeline_args=BEAM_ARGUMENTS,
            enable_transform_input_cache=False,
        ),
        metric="sparse_categorical_accuracy",
        steps=(20, 60),
    )


def write_taxi_trips(path: Path, trips: int) -> None:
    """Writes the header and the first trips of the example's CSV."""
    lines = (TAXI_PATH / "data" / "simple" / "data.csv").read_text().splitlines(keepends=True)
    path.parent.mkdir(parents=True)
    path.write_text("".join(lines[: trips + 1]))


def write_penguins(path: Path) -> None:
    """Writes the penguins of TFX's wheel, which has them only as records, as the example's CSV."""
    columns = ["culmen_length_mm", "culmen_depth_mm", "flipper_length_mm", "body_mass_g"]
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "species"])
        # ExampleGen splits by a hash of the record, so the records of a split stay together.
        for record in records_of(Path(penguin_pipeline.penguin_data_root()), "*"):
            features = tf.train.Example.FromString(record).features.feature
            values = [features[name].float_list.value[0] for name in columns]
            writer.writerow([*values, features["species"].int64_list.value[0]])


def records_of(directory: Path, split: str = "eval") -> list[bytes]:
    """Returns the serialized examples in a split of Examples; "*" for all splits."""
    files = [str(path) for path in sorted(directory.glob(f"Split-{split}/*"))]
    assert files
    dataset = tf.data.TFRecordDataset(files, compression_type="GZIP")
    return [bytes(record) for record in dataset.as_numpy_iterator()]


def run(example: Example, metadata_path: Path, steps: int) -> pb.ExportDecision:
    """Runs the pipeline with a number of training steps, and returns its decision.

    Unchanged components are cached, so the same number of steps gives the same model.
    """
    made = example.make()
    nodes = {node.id: node for node in made.components}
    for name, arguments in (
        ("train_args", tfx.proto.TrainArgs(num_steps=steps)),
        ("eval_args", tfx.proto.EvalArgs(num_steps=5)),
    ):
        nodes["Trainer"].exec_properties[name] = json_format.MessageToJson(arguments)
    made.enable_cache = True
    tfx.orchestration.LocalDagRunner().run(made)
    return decisions.read_last_decision(str(metadata_path)).decision


def check_answers(exported: Path, model_path: Path, records: list[bytes]) -> None:
    """Checks that a session on an export answers as TensorFlow does with the Trainer's model."""
    # TensorFlow restores the Trainer's model in its own way.
    original = tf.saved_model.load(str(model_path))
    for signature in ("serving_default", "transform_features"):
        expected = original.signatures[signature](examples=tf.constant(records))
        found = answer(exported, {"examples": records}, signature)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            if value.dtype == tf.string:
                assert (found[name] == value.numpy()).all()
            else:
                assert tf.reduce_all(tf.math.is_finite(tf.cast(value, tf.float32)))
                assert found[name] == pytest.approx(value.numpy(), rel=1e-4, abs=1e-5)
    # Without the export's own restore operation, a server cannot run the model.
    with pytest.raises(tf.errors.FailedPreconditionError):
        answer(model_path, {"examples": records})


# The examples cause warnings.
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("example_of", [penguin, taxi], ids=["penguin", "taxi"])
def test_three_runs_with_the_change_of_readme(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    example_of: Callable[[Path, pytest.MonkeyPatch], Example],
):
    example = example_of(tmp_path, monkeypatch)
    first = run(example, tmp_path / "metadata.sqlite", example.steps[0])
    assert first.reason == pb.ExportDecision.FIRST_EXPORT
    assert first.default_rule.rule.metric.name == example.metric
    assert first.default_rule.rule.direction == pb.HIGHER_IS_BETTER
    [warning] = [each for each in first.warnings if "are not restored" in each]
    assert "model.export(path) or keras.export.ExportArchive" in warning
    # The penguin pipeline passes no blessing, because its Pusher runs only for a blessed model.
    assert not [each for each in first.warnings if "was not validated" in each]
    [examples_path] = (tmp_path / "root" / "CsvExampleGen" / "examples").iterdir()
    records = records_of(examples_path)[:50]
    exported = {first.version: Path(first.candidate.uri) / "Format-Serving"}

    again = run(example, tmp_path / "metadata.sqlite", example.steps[0])
    assert again.reason == pb.ExportDecision.ALREADY_BEST
    assert again.version == first.version

    try:
        third = run(example, tmp_path / "metadata.sqlite", example.steps[1])
    except LookupError:
        # Evaluator did not bless the model, so the exporter of the penguin pipeline did not run.
        third = again
    assert third is again or third.candidate.digest != first.candidate.digest
    assert third.default_rule == first.default_rule
    # The Resolver makes the best the baseline, so both are evaluated on the same examples.
    if third.exported:
        assert third.reason == pb.ExportDecision.BETTER
        exported[third.version] = Path(third.candidate.uri) / "Format-Serving"
    elif third is not again:
        assert third.reason in (pb.ExportDecision.NOT_BETTER, pb.ExportDecision.NOT_BLESSED)
    if third.reason == pb.ExportDecision.NOT_BLESSED:
        assert third.failed_thresholds
    elif third is not again:
        assert third.basis == pb.ExportDecision.SAME_EVALUATION
        [comparison] = third.comparisons
        assert (comparison.metric, comparison.improvement > 0) == (example.metric, third.exported)
    base_path = tmp_path / "serving"
    assert {int(path.name) for path in base_path.glob("[0-9]*")} == set(exported)
    for version, model_path in exported.items():
        check_answers(base_path / str(version), model_path, records)
