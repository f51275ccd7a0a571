"""Runs Executor.Do on real artifacts without a driver."""

import html
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from google.protobuf import json_format, struct_pb2
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.proto.orchestration import pipeline_pb2
from tfx.types import standard_artifacts
from tfx.utils import import_utils

from tests.errors import about, check_text, elsewhere
from tests.tfx_runs import exec_properties, read_decision, write_evaluation
from tfx_best_exporter.component import ExportDecision
from tfx_best_exporter.executor import container
from tfx_best_exporter.executor.deciding.eval_result import MissingMetricError
from tfx_best_exporter.executor.executor import Executor
from tfx_best_exporter.executor.exports.saved_model import InvalidModelError
from tfx_best_exporter.executor.reports import report
from tfx_best_exporter.proto import best_exporter_pb2 as pb

MODULE = """
import math

def compare_fn(best_eval_result, current_eval_result):
    return math.isclose(current_eval_result["auc"], 0.9)

def raises(best_eval_result, current_eval_result):
    raise ValueError("the cause")

def asks_for_another(best_eval_result, current_eval_result):
    return current_eval_result["AUC"] > 0

def twice(model):
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def serve(x):
        return {"y": 2.0 * model.signatures["serving_default"](x=x)["y"]}

    return {"serving_default": serve}
"""


class Node:
    """A BestExporter node: artifacts below one directory, a base directory, no ML Metadata."""

    def __init__(self, root: Path, write_model: Callable[..., Path]):
        self.root = root
        self.base_directory = root / "serving"
        # TFX passes the pipeline, run and node in this context.
        self.context: base_executor.BaseExecutor.Context | None = None
        self._write_model = write_model
        self._number = 0

    def artifact(self, artifact_type: type[types.Artifact], **properties: Any) -> Any:
        self._number += 1
        artifact = artifact_type()
        artifact.uri = str(self.root / artifact_type.__name__ / str(self._number))
        Path(artifact.uri).mkdir(parents=True)
        for name, value in properties.items():
            if isinstance(value, int):
                artifact.set_int_custom_property(name, value)
            else:
                artifact.set_string_custom_property(name, value)
        return artifact

    def model(self, scale: float = 1.0) -> types.Artifact:
        model = self.artifact(standard_artifacts.Model)
        self._write_model(Path(model.uri) / "Format-Serving", scale)
        return model

    def evaluation(self, **metrics: float) -> types.Artifact:
        evaluation = self.artifact(standard_artifacts.ModelEvaluation)
        Path(evaluation.uri).rmdir()
        write_evaluation(Path(evaluation.uri), metrics)
        return evaluation

    def candidate(self, scale: float = 1.0, **metrics: float) -> dict[str, types.Artifact]:
        return {"model": self.model(scale), "evaluation": self.evaluation(**metrics)}

    def do(
        self,
        inputs: dict[str, types.Artifact],
        **properties: Any,
    ) -> tuple[types.Artifact, types.Artifact]:
        """Returns the artifacts PushedModel and ExportDecision of one run."""
        outputs: dict[str, list[types.Artifact]] = {
            "pushed_model": [self.artifact(standard_artifacts.PushedModel)],
            "decision": [self.artifact(ExportDecision)],
        }
        Executor(self.context).Do(
            {key: [artifact] for key, artifact in inputs.items()},
            outputs,
            exec_properties(self.base_directory, **properties),
        )
        return outputs["pushed_model"][0], outputs["decision"][0]

    def versions(self) -> list[str]:
        if not self.base_directory.exists():
            return []
        return sorted(path.name for path in self.base_directory.iterdir() if path.name.isdecimal())


@pytest.fixture
def node(tmp_path: Path, write_model: Callable[..., Path]) -> Node:
    return Node(tmp_path, write_model)


def policy(**rule: Any) -> dict[str, str]:
    return {"compare_policy": json.dumps(rule)}


def properties_of(artifact: types.Artifact) -> dict[str, Any]:
    result = {}
    for name, value in artifact.mlmd_artifact.custom_properties.items():
        result[name] = getattr(value, value.WhichOneof("value"))
    return result


def scale_of(path: str | Path) -> float:
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    return float(signature(x=tf.constant([1.0]))["y"][0])


def test_first_export(node: Node):
    inputs = node.candidate(scale=3.0, loss=0.5)
    pushed_model, decision = node.do(inputs)
    [version] = node.versions()
    path = node.base_directory / version
    common = {
        "pushed_version": version,
        "best_version": "",
        "reason": "FIRST_EXPORT",
        "explanation": read_decision(decision).explanation,
        "number_retired": 0,
        "candidate_metric_loss": 0.5,
    }
    assert properties_of(pushed_model) == {
        "pushed": 1,
        "pushed_destination": str(path),
        **common,
    }
    assert properties_of(decision) == {"exported": 1, **common}
    assert scale_of(path) == scale_of(pushed_model.uri) == 3.0
    message = read_decision(decision)
    assert message.exported
    assert message.reason == pb.ExportDecision.FIRST_EXPORT
    assert message.version == int(version)
    assert message.base_directory == str(node.base_directory)
    assert message.candidate.uri == inputs["model"].uri
    assert message.candidate_evaluation.uri == inputs["evaluation"].uri
    assert [metric.value for metric in message.candidate_evaluation.metrics] == [0.5]
    assert message.warnings == [
        "the candidate was not validated: neither model_blessing nor infra_blessing is set"
    ]
    record = json.loads((path / "assets.extra/best_exporter/record.json").read_text())
    assert record["pushed_model_uri"] == pushed_model.uri
    assert record["name"] == "BestExporter"
    kept = path / "assets.extra/best_exporter/evaluation"
    for name in ("eval_config.json", "metrics-00000-of-00001.tfrecord"):
        assert (kept / name).read_bytes() == Path(inputs["evaluation"].uri, name).read_bytes()


def test_the_model_of_an_estimator(node: Node):
    inputs = node.candidate(scale=3.0, loss=0.5)
    serving = Path(inputs["model"].uri) / "Format-Serving"
    export = serving.with_name("moved")
    serving.rename(export)
    exporter = serving / "export" / "penguin"
    exporter.mkdir(parents=True)
    export.rename(exporter / "1732240000")
    pushed_model, _ = node.do(inputs)
    assert scale_of(pushed_model.uri) == 3.0
    (exporter / "1732240001").mkdir()
    with pytest.raises(ValueError, match="model must contain one export") as caught:
        node.do(inputs)
    assert str(caught.value) == (
        "model must contain one export of an Estimator (got 1732240000, 1732240001, at"
        f" {exporter}). Keep only the export to serve."
    )


def test_not_better(node: Node):
    node.do(node.candidate(scale=1.0, loss=0.5))
    [version] = node.versions()
    pushed_model, decision = node.do(node.candidate(scale=2.0, loss=0.6))
    assert node.versions() == [version]
    common = {
        "pushed_version": "",
        "best_version": version,
        "reason": "NOT_BETTER",
        "explanation": read_decision(decision).explanation,
        "number_retired": 0,
        "candidate_metric_loss": 0.6,
        "best_metric_loss": 0.5,
    }
    assert properties_of(pushed_model) == {"pushed": 0, "pushed_destination": "", **common}
    assert properties_of(decision) == {"exported": 0, **common}
    assert list(Path(pushed_model.uri).iterdir()) == []
    message = read_decision(decision)
    assert not message.exported
    assert message.version == 0
    assert message.best.version == int(version)
    assert message.best.path == str(node.base_directory / version)


def test_better(node: Node):
    first, _ = node.do(node.candidate(scale=1.0, loss=0.5))
    pushed_model, decision = node.do(node.candidate(scale=2.0, loss=0.4))
    before, version = node.versions()
    assert properties_of(pushed_model)["pushed_version"] == version
    assert properties_of(decision)["exported"] == 1
    assert properties_of(decision)["best_version"] == before
    assert scale_of(node.base_directory / version) == scale_of(pushed_model.uri) == 2.0
    message = read_decision(decision)
    assert message.reason == pb.ExportDecision.BETTER
    assert message.best.pushed_model_uri == first.uri
    assert message.best.has_record


def test_the_best_itself(node: Node):
    inputs = node.candidate(scale=1.0, loss=0.5)
    node.do(inputs)
    [version] = node.versions()
    pushed_model, decision = node.do(inputs)
    assert node.versions() == [version]
    assert properties_of(pushed_model)["pushed"] == 1
    assert properties_of(pushed_model)["pushed_version"] == version
    assert properties_of(pushed_model)["pushed_destination"] == str(node.base_directory / version)
    assert properties_of(decision)["exported"] == 0
    assert properties_of(decision)["reason"] == "ALREADY_BEST"
    assert scale_of(pushed_model.uri) == 1.0


def test_the_policy_of_retention_and_the_form_of_the_export(node: Node, tmp_path: Path):
    vocabulary = tmp_path / "vocabulary.txt"
    vocabulary.write_text("setosa")
    properties = {
        "retention_policy": json.dumps({"keep_latest": 1}),
        "assets_extra": json.dumps({"b/vocabulary.txt": str(vocabulary)}),
        "as_text": 1,
    }
    node.do(node.candidate(scale=1.0, loss=0.5), **properties)
    [first] = node.versions()
    _, decision = node.do(node.candidate(scale=2.0, loss=0.4), **properties)
    [version] = node.versions()
    assert [entry.version for entry in read_decision(decision).retired] == [int(first)]
    path = node.base_directory / version
    assert (path / "assets.extra/b/vocabulary.txt").read_text() == "setosa"
    assert (path / "saved_model.pbtxt").exists()
    assert not (path / "saved_model.pb").exists()
    assert scale_of(path) == 2.0


def test_keep_best_with_a_policy_that_was_given_late(node: Node):
    properties = {
        "retention_policy": json.dumps({"keep_best": 1}),
        "compare_policy": json.dumps({"compare_fn": "tests.component.comparing.larger_auc"}),
    }
    with pytest.raises(ValueError, match=r"\Aretention_policy.keep_best needs a metric rule "):
        node.do(node.candidate(scale=1.0, loss=0.5), **properties)
    assert node.versions() == []


def test_without_exports_to_keep_every_export_stays(node: Node):
    for number in range(7):
        node.do(node.candidate(scale=float(number), loss=1.0 - number / 10))
    assert len(node.versions()) == 7


# Blessings.


@pytest.mark.parametrize(
    ("name", "artifact_type", "properties", "reason"),
    [
        pytest.param(
            "model_blessing",
            standard_artifacts.ModelBlessing,
            {"blessed": 0},
            "NOT_BLESSED",
            id="model not blessed",
        ),
        pytest.param(
            "model_blessing",
            standard_artifacts.ModelBlessing,
            {},
            "BLESSING_NOT_COMPUTED",
            id="model blessing not computed",
        ),
        pytest.param(
            "infra_blessing",
            standard_artifacts.InfraBlessing,
            {"blessed": 0},
            "NOT_BLESSED",
            id="infra not blessed",
        ),
        pytest.param(
            "infra_blessing",
            standard_artifacts.InfraBlessing,
            {},
            "BLESSING_NOT_COMPUTED",
            id="infra blessing not computed",
        ),
    ],
)
def test_a_model_without_a_blessing_is_not_touched(
    node: Node,
    name: str,
    artifact_type: type[types.Artifact],
    properties: dict[str, int],
    reason: str,
):
    inputs = node.candidate(loss=0.5)
    shutil.rmtree(inputs["model"].uri)
    blessing = node.artifact(artifact_type, **properties)
    pushed_model, decision = node.do({**inputs, name: blessing})
    assert properties_of(pushed_model)["pushed"] == 0
    assert properties_of(decision)["reason"] == reason
    assert f"{name} at {blessing.uri} " in properties_of(decision)["explanation"]
    assert node.versions() == []


def test_both_blessings_must_bless(node: Node):
    inputs = {
        **node.candidate(loss=0.5),
        "model_blessing": node.artifact(standard_artifacts.ModelBlessing, blessed=1),
        "infra_blessing": node.artifact(standard_artifacts.InfraBlessing, blessed=0),
    }
    _, decision = node.do(inputs)
    assert properties_of(decision)["reason"] == "NOT_BLESSED"
    inputs["infra_blessing"] = node.artifact(standard_artifacts.InfraBlessing, blessed=1)
    _, decision = node.do(inputs)
    assert properties_of(decision)["reason"] == "FIRST_EXPORT"
    assert read_decision(decision).warnings == []


def infra_blessing_with_model(node: Node, scale: float, **properties: int) -> types.Artifact:
    blessing = node.artifact(standard_artifacts.InfraBlessing, **properties)
    model = node.model(scale)
    # InfraValidator writes the warmed-up model to this directory.
    shutil.move(Path(model.uri) / "Format-Serving", Path(blessing.uri) / "stamped_model")
    return blessing


def test_the_model_of_an_infra_blessing(node: Node):
    blessing = infra_blessing_with_model(node, scale=4.0, blessed=1, has_model=1)
    pushed_model, decision = node.do(
        {"infra_blessing": blessing, "evaluation": node.evaluation(loss=0.5)}
    )
    [version] = node.versions()
    assert scale_of(node.base_directory / version) == scale_of(pushed_model.uri) == 4.0
    assert read_decision(decision).candidate.uri == blessing.uri


def test_the_model_is_taken_before_that_of_an_infra_blessing(node: Node):
    blessing = infra_blessing_with_model(node, scale=4.0, blessed=1, has_model=1)
    node.do({**node.candidate(scale=1.0, loss=0.5), "infra_blessing": blessing})
    [version] = node.versions()
    assert scale_of(node.base_directory / version) == 1.0


def test_an_infra_blessing_without_a_model(node: Node):
    blessing = node.artifact(standard_artifacts.InfraBlessing, blessed=1)
    with pytest.raises(RuntimeError) as caught:
        node.do({"infra_blessing": blessing, "evaluation": node.evaluation(loss=0.5)})
    assert str(caught.value) == (
        "infra_blessing must contain a model if the argument model is not set (got none, at"
        f" {blessing.uri}). Set RequestSpec.make_warmup of InfraValidator, or pass model to"
        " BestExporter."
    )
    assert node.versions() == []


def test_an_infra_blessing_without_a_model_that_is_not_blessed(node: Node):
    blessing = node.artifact(standard_artifacts.InfraBlessing, blessed=0)
    _, decision = node.do({"infra_blessing": blessing, "evaluation": node.evaluation(loss=0.5)})
    assert properties_of(decision)["reason"] == "NOT_BLESSED"


def test_custom_properties_as_kubeflow_writes_them(node: Node):
    # Kubeflow's launcher passes properties as google.protobuf.Struct, whose numbers are floats.
    def as_struct(artifact: Any, **numbers: float) -> types.Artifact:
        for name, value in numbers.items():
            artifact.set_json_value_custom_property(name, value)
            stored = artifact.mlmd_artifact.custom_properties[name]
            assert stored.WhichOneof("value") == "struct_value"
            assert isinstance(stored.struct_value, struct_pb2.Struct)
        return artifact

    blessing = as_struct(infra_blessing_with_model(node, scale=4.0), blessed=1.0, has_model=1.0)
    inputs = {"infra_blessing": blessing, "evaluation": node.evaluation(loss=0.5)}
    _, decision = node.do(inputs)
    assert properties_of(decision)["reason"] == "FIRST_EXPORT"
    inputs["infra_blessing"] = as_struct(
        node.artifact(standard_artifacts.InfraBlessing), blessed=0.0
    )
    _, decision = node.do(inputs)
    assert properties_of(decision)["reason"] == "NOT_BLESSED"


# Evaluations.


def write_event_file(directory: Path, **metrics: float) -> None:
    writer = tf.summary.create_file_writer(str(directory))
    with writer.as_default():
        for tag, value in metrics.items():
            tf.summary.write(tag, tf.constant(value, tf.float32), step=1)
    writer.close()


@pytest.mark.parametrize(
    ("directory", "properties"),
    [
        pytest.param("eval", {}, id="default pattern"),
        pytest.param("eval", {"event_file_pattern": "eval/*.tfevents.*"}, id="pattern"),
        pytest.param("a/b", {"event_file_pattern": "a/*/*.v2"}, id="other pattern"),
    ],
)
def test_a_model_run_as_evaluation(node: Node, directory: str, properties: dict[str, str]):
    for loss, scale, reason in ((0.5, 1.0, "FIRST_EXPORT"), (0.75, 2.0, "NOT_BETTER")):
        model_run = node.artifact(standard_artifacts.ModelRun)
        write_event_file(Path(model_run.uri) / directory, loss=loss)
        _, decision = node.do({"model": node.model(scale), "model_run": model_run}, **properties)
        assert properties_of(decision)["reason"] == reason
        message = read_decision(decision)
        assert message.candidate_evaluation.source == pb.Evaluation.EVENT_FILES
        assert message.candidate_evaluation.uri == model_run.uri


def foreign(node: Node, version: int, scale: float) -> dict[str, Any]:
    """Creates an export without a record, and returns its lineage as a driver finds it."""
    path = node.base_directory / str(version)
    shutil.copytree(Path(node.model(scale).uri) / "Format-Serving", path)
    return {
        "version": version,
        "is_foreign": True,
        "pushed_model_uri": "/pushed_model",
        "model_uri": "/model",
        "evaluation_uri": node.evaluation(loss=0.5).uri,
        "model_blessing_uri": "",
        "warnings": ["from the driver"],
    }


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        pytest.param(0.6, "NOT_BETTER", id="worse"),
        pytest.param(0.4, "BETTER", id="better"),
    ],
)
def test_a_best_that_the_driver_knows(node: Node, loss: float, reason: str):
    prior_export = foreign(node, version=7, scale=1.0)
    _, decision = node.do(
        node.candidate(scale=2.0, loss=loss), prior_export=json.dumps(prior_export)
    )
    assert properties_of(decision)["reason"] == reason
    assert properties_of(decision)["best_version"] == "7"
    message = read_decision(decision)
    assert message.best.evaluation.uri == prior_export["evaluation_uri"]
    assert "from the driver" in message.warnings


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"evaluation_uri": ""}, id="no evaluation"),
        pytest.param({"version": 6}, id="another version"),
        pytest.param(None, id="no driver"),
    ],
)
def test_a_best_that_the_driver_does_not_know(node: Node, change: dict[str, Any] | None):
    prior_export = foreign(node, version=7, scale=1.0)
    properties = {}
    if change is not None:
        properties["prior_export"] = json.dumps({**prior_export, **change})
    _, decision = node.do(node.candidate(scale=2.0, loss=0.6), **properties)
    assert properties_of(decision)["reason"] == "BEST_UNKNOWN_KEPT"
    assert any("version 7" in warning for warning in read_decision(decision).warnings)


def test_the_record_is_believed_before_the_driver(node: Node):
    node.do(node.candidate(scale=1.0, loss=0.5))
    [version] = node.versions()
    prior_export = {
        "version": int(version),
        "is_foreign": False,
        # The export has a copy of its evaluation, so this URI is not read.
        "evaluation_uri": "/gone",
    }
    _, decision = node.do(
        node.candidate(scale=2.0, loss=0.4), prior_export=json.dumps(prior_export)
    )
    assert properties_of(decision)["reason"] == "BETTER"


# Policies and functions.


@pytest.mark.parametrize(
    ("auc", "reason"),
    [pytest.param(0.95, "BETTER", id="larger"), pytest.param(0.85, "NOT_BETTER", id="smaller")],
)
@pytest.mark.parametrize(
    "rule",
    [
        pytest.param({"compare_fn": "tests.component.comparing.larger_auc"}, id="function"),
        pytest.param(
            {"metric": {"metric": {"name": "auc"}, "direction": "HIGHER_IS_BETTER"}}, id="metric"
        ),
    ],
)
def test_what_better_means(node: Node, rule: dict[str, Any], auc: float, reason: str):
    node.do(node.candidate(scale=1.0, auc=0.9), **policy(**rule))
    _, decision = node.do(node.candidate(scale=2.0, auc=auc), **policy(**rule))
    assert properties_of(decision)["reason"] == reason


def test_a_metric_rule_with_a_threshold(node: Node):
    rule = {
        "metric": {
            "metric": {"name": "auc"},
            "direction": "HIGHER_IS_BETTER",
            "min_absolute_change": 0.1,
        }
    }
    node.do(node.candidate(scale=1.0, auc=0.5), **policy(**rule))
    _, decision = node.do(node.candidate(scale=2.0, auc=0.55), **policy(**rule))
    assert properties_of(decision)["reason"] == "NOT_BETTER"
    (compared,) = read_decision(decision).comparisons
    assert (compared.candidate, compared.best, compared.required) == (0.55, 0.5, 0.1)


@pytest.fixture
def module_file(tmp_path: Path) -> str:
    path = tmp_path / "user_functions.py"
    path.write_text(MODULE)
    return str(path)


@pytest.mark.parametrize(
    ("auc", "reason"),
    [pytest.param(0.9, "BETTER", id="true"), pytest.param(0.95, "NOT_BETTER", id="false")],
)
def test_a_compare_function_of_module_file(node: Node, module_file: str, auc: float, reason: str):
    properties = {**policy(compare_fn="compare_fn"), "module_file": module_file}
    node.do(node.candidate(scale=1.0, auc=0.5), **properties)
    _, decision = node.do(node.candidate(scale=2.0, auc=auc), **properties)
    assert properties_of(decision)["reason"] == reason


def test_a_signature_function_of_module_file(node: Node, module_file: str):
    pushed_model, _ = node.do(
        node.candidate(scale=3.0, loss=0.5),
        module_file=module_file,
        serving_signatures_fn="twice",
    )
    [version] = node.versions()
    assert scale_of(node.base_directory / version) == scale_of(pushed_model.uri) == 6.0


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        pytest.param(
            policy(compare_fn="missing"),
            # TFX numbers the module files that a process has loaded.
            re.compile(
                r"compare_policy\.compare_fn must be a function of module_file \(got 'missing':"
                r" module 'user_module_\d+' has no attribute 'missing'\)\. Define it there, or pass"
                r" the dotted name of a function in an installed package\.\Z"
            ),
            id="compare_fn of module_file",
        ),
        pytest.param(
            policy(compare_fn="tests.component.comparing.missing"),
            elsewhere("compare_policy.compare_fn", "'tests.component.comparing.missing'"),
            id="compare_fn of a package",
        ),
        pytest.param(
            policy(compare_fn="tests.component.comparing.other_names"),
            elsewhere(
                "compare_policy.compare_fn", "tests.component.comparing.other_names(best, current)"
            ),
            id="compare_fn with other arguments",
        ),
        pytest.param(
            {"serving_signatures_fn": "not_installed.signatures"},
            elsewhere("serving_signatures_fn", "'not_installed.signatures'"),
            id="serving_signatures_fn of a package",
        ),
    ],
)
def test_a_function_that_is_not_there(
    node: Node, module_file: str, properties: dict[str, str], message: re.Pattern[str]
):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text follows.
        node.do(node.candidate(loss=0.5), module_file=module_file, **properties)
    check_text(caught.value, message)
    assert node.versions() == []


# Failures.


def test_a_compare_function_that_raises(node: Node, module_file: str):
    with pytest.raises(
        RuntimeError, match=about("compare_fn", "ValueError from raises: the cause)")
    ):
        node.do(node.candidate(auc=0.5), module_file=module_file, **policy(compare_fn="raises"))
    assert node.versions() == []


def test_a_compare_function_that_asks_for_another_metric(node: Node, module_file: str):
    inputs = node.candidate(auc=0.5)
    pattern = about("metric name", f"'AUC', at {inputs['evaluation'].uri})")
    with pytest.raises(MissingMetricError, match=pattern):
        node.do(inputs, module_file=module_file, **policy(compare_fn="asks_for_another"))
    assert node.versions() == []


def test_a_driver_that_failed(node: Node):
    with pytest.raises(RuntimeError) as caught:
        node.do(node.candidate(loss=0.5), driver_error="Traceback: the cause")
    assert "Traceback: the cause" in str(caught.value)
    assert not node.base_directory.exists()


def test_a_model_that_is_not_complete(node: Node):
    inputs = node.candidate(loss=0.5)
    path = Path(inputs["model"].uri) / "Format-Serving"
    (path / "saved_model.pb").unlink()
    with pytest.raises(InvalidModelError, match=about("model", repr(str(path)))) as caught:
        node.do(inputs)
    assert "saved_model.pb" in str(caught.value)
    assert node.versions() == []


# Stored files.


def test_decision_json_is_the_message(node: Node):
    node.do(node.candidate(scale=1.0, loss=0.5))
    _, decision = node.do(node.candidate(scale=2.0, loss=0.4))
    content = json.loads((Path(decision.uri) / "decision.json").read_text())
    assert content["schema_version"] == 1
    assert content["reason"] == "BETTER"
    # People search for the names of the .proto file.
    assert content["candidate_evaluation"]["metrics"][0]["key"] == {"name": "loss"}
    message = json_format.ParseDict(content, pb.ExportDecision())
    assert json_format.MessageToDict(message, preserving_proto_field_name=True) == content


def test_the_report_lies_beside_it(node: Node):
    node.do(node.candidate(scale=1.0, loss=0.5))
    _, decision = node.do(node.candidate(scale=2.0, loss=0.4))
    page = (Path(decision.uri) / "report.html").read_text(encoding="utf-8")
    assert page == report.to_html(read_decision(decision))
    assert read_decision(decision).explanation in html.unescape(page)


def test_a_report_that_cannot_be_made_fails_no_run(node: Node, monkeypatch: pytest.MonkeyPatch):
    def fail(decision: pb.ExportDecision) -> str:
        raise RuntimeError("no room")

    monkeypatch.setattr(report, "to_html", fail)
    _, decision = node.do(node.candidate(loss=0.5))
    assert node.versions()
    assert not (Path(decision.uri) / "report.html").exists()
    assert (
        "report.html could not be written: RuntimeError: no room"
        in read_decision(decision).warnings
    )


def test_a_run_that_evaluates_nothing_prepares_no_beam():
    # TFX's own Beam executors package TFX for remote workers in their constructor.
    context = BaseBeamExecutor.Context(beam_pipeline_args=["--runner=DirectRunner"])
    executor = Executor(context)
    assert context.beam_pipeline_args == ["--runner=DirectRunner"]
    assert not getattr(executor, "_beam_pipeline_args", None)


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        pytest.param(None, [], id="no context"),
        pytest.param(BaseBeamExecutor.Context(), [], id="no arguments"),
        pytest.param(
            BaseBeamExecutor.Context(beam_pipeline_args=["--a=1"], extra_flags=["--b=2"]),
            ["--a=1"],
            id="BeamExecutorOperator",
        ),
        pytest.param(
            base_executor.BaseExecutor.Context(extra_flags=["--b=2"]),
            ["--b=2"],
            id="InProcessComponentLauncher and kubeflow_v2_run_executor",
        ),
    ],
)
def test_the_arguments_of_beam(context: Any, expected: list[str]):
    assert list(Executor(context)._beam().pipeline_args) == expected


def test_a_pipeline_of_beam_that_a_runner_makes():
    context = BaseBeamExecutor.Context(make_beam_pipeline_fn=dict)
    assert Executor(context)._beam().make_pipeline is dict


def test_one_class_has_both_names():
    # Earlier versions compiled the second name into pipelines with examples.
    for path in container.OUR_EXECUTORS:
        assert import_utils.import_class_by_path(path) is Executor


def test_pipeline_and_run_are_named(node: Node, tmp_path: Path):
    pipeline_node = pipeline_pb2.PipelineNode()
    pipeline_node.node_info.id = "BestExporter.mine"
    node.context = base_executor.BaseExecutor.Context(
        tmp_dir=str(tmp_path),
        unique_id="1",
        pipeline_node=pipeline_node,
        pipeline_info=pipeline_pb2.PipelineInfo(id="penguin"),
        pipeline_run_id="run 1",
    )
    _, decision = node.do(node.candidate(loss=0.5))
    provenance = read_decision(decision).provenance
    assert provenance.pipeline_name == "penguin"
    assert provenance.run_id == "run 1"
    assert provenance.node_id == "BestExporter.mine"
    [version] = node.versions()
    record = node.base_directory / version / "assets.extra/best_exporter/record.json"
    assert json.loads(record.read_text())["name"] == "BestExporter.mine"
