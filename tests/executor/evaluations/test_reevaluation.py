"""Evaluates candidate and best on the same data with Evaluator, Beam and real models."""

import copy
import dataclasses
import functools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
import tensorflow_model_analysis
from google.protobuf import json_format
from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import artifact_utils, standard_artifacts

from tests import served_models
from tests.containers.processes import Containers
from tests.errors import about
from tests.image.inputs import INPUTS_SPEC, artifact, executor_input
from tests.servers import s3_server
from tests.tfx_runs import exec_properties, read_decision
from tfx_best_exporter.component import ExportDecision
from tfx_best_exporter.executor import container
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricKey, MetricValue
from tfx_best_exporter.executor.evaluations import reevaluation, tfma
from tfx_best_exporter.executor.executor import Executor, values_of
from tfx_best_exporter.executor.exports.records import RECORD_PATH
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.s3 import S3Storage
from tfx_best_exporter.executor.storage.transfer import copy_files
from tfx_best_exporter.proto import best_exporter_pb2 as pb

pytestmark = [
    pytest.mark.slow,
    # TFMA and Beam emit warnings about NumPy and TensorFlow that these tests do not cover.
    pytest.mark.filterwarnings("ignore"),
]

ACCURACY = MetricKey(name="binary_accuracy")
COUNT = MetricKey(name="example_count")
INTERVALS = "options { compute_confidence_intervals { value: true } }"
_POLICY = {"metric": {"metric": {"name": "binary_accuracy"}, "direction": "HIGHER_IS_BETTER"}}


@dataclasses.dataclass
class Work:
    """A directory of artifacts, and the models and evaluations that the tests share."""

    root: Path
    number: int = 0

    def artifact(self, artifact_type: type[types.Artifact]) -> types.Artifact:
        self.number += 1
        artifact = artifact_type()
        artifact.uri = str(self.root / artifact_type.__name__ / str(self.number))
        Path(artifact.uri).mkdir(parents=True)
        return artifact

    def model(self, threshold: float, **others: Any) -> types.Artifact:
        model = self.artifact(standard_artifacts.Model)
        # TFX's publisher sets this property; without it, Evaluator expects an old layout.
        model.set_string_custom_property("tfx_version", "1.21.0")
        served_models.write_model(Path(model.uri) / "Format-Serving", threshold, **others)
        return model

    def examples(self, count: int) -> types.Artifact:
        self.number += 1
        return served_models.write_examples(self.root / "Examples" / str(self.number), count)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shared:
    """Three models and their evaluations.

    On 100 examples, the best has an accuracy of 0.9 and the candidate an accuracy of 0.95.
    """

    work: Work
    examples: types.Artifact
    more_examples: types.Artifact
    best: types.Artifact
    candidate: types.Artifact
    best_alone: types.Artifact
    candidate_alone: types.Artifact
    candidate_on_more: types.Artifact
    candidate_beside_best: types.Artifact
    candidate_beside_another: types.Artifact


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    work = Work(tmp_path_factory.mktemp("artifacts"))
    examples, more = work.examples(100), work.examples(200)
    best, candidate, another = work.model(0.6), work.model(0.55), work.model(0.9)

    def evaluate(
        examples: types.Artifact, model: types.Artifact, baseline: types.Artifact | None = None
    ) -> types.Artifact:
        return served_models.evaluate(work.artifact, examples, model, baseline)

    return Shared(
        work=work,
        examples=examples,
        more_examples=more,
        best=best,
        candidate=candidate,
        best_alone=evaluate(examples, best),
        candidate_alone=evaluate(examples, candidate),
        candidate_on_more=evaluate(more, candidate),
        candidate_beside_best=evaluate(examples, candidate, best),
        candidate_beside_another=evaluate(examples, candidate, another),
    )


@dataclasses.dataclass
class Node:
    """A BestExporter node whose base directory serves `shared.best`."""

    shared: Shared
    base_directory: Path
    pipelines_made: int = 0

    def make_pipeline(self) -> beam.Pipeline:
        self.pipelines_made += 1
        return beam.Pipeline()

    def do(
        self,
        model: types.Artifact,
        evaluated: types.Artifact,
        *examples: types.Artifact,
        policy: dict[str, Any] | None = None,
        **properties: Any,
    ) -> pb.ExportDecision:
        inputs = {"model": [model], "evaluation": [evaluated]}
        if examples:
            inputs["examples"] = list(examples)
        decision = self.shared.work.artifact(ExportDecision)
        Executor(BaseBeamExecutor.Context(make_beam_pipeline_fn=self.make_pipeline)).Do(
            inputs,
            {
                "pushed_model": [self.shared.work.artifact(standard_artifacts.PushedModel)],
                "decision": [decision],
            },
            exec_properties(
                self.base_directory,
                compare_policy=json.dumps({**_POLICY, **(policy or {})}),
                **properties,
            ),
        )
        return read_decision(decision)

    def record(self) -> pb.ExportRecord:
        served = max(
            int(path.name) for path in self.base_directory.iterdir() if path.name.isdecimal()
        )
        text = (self.base_directory / str(served) / RECORD_PATH).read_text()
        return json_format.Parse(text, pb.ExportRecord())


@pytest.fixture
def node(shared: Shared, tmp_path: Path) -> Node:
    node = Node(shared, tmp_path / "serving")
    decision = node.do(shared.best, shared.best_alone, shared.examples)
    assert decision.reason == pb.ExportDecision.FIRST_EXPORT
    return node


def reevaluation_of(
    shared: Shared,
    evaluated: types.Artifact,
    output: Path,
    make_pipeline: Callable[[], Any] | None = None,
    examples: types.Artifact | None = None,
) -> reevaluation.Reevaluation:
    examples = examples or shared.examples
    return reevaluation.Reevaluation(
        examples=values_of({"examples": [examples]})["examples"],
        examples_uri=examples.uri,
        splits=("eval",),
        evaluation_uri=evaluated.uri,
        output_uri=str(output),
        beam=reevaluation.Beam(make_pipeline=make_pipeline),
    )


def files_of(model: types.Artifact) -> Location:
    return location_of(f"{model.uri}/Format-Serving")


def compared(decision: pb.ExportDecision) -> tuple[float, float]:
    [comparison] = decision.comparisons
    return pytest.approx(comparison.candidate), pytest.approx(comparison.best)  # type: ignore[return-value]


def test_the_first_export_is_not_evaluated_again_and_says_its_data(node: Node):
    record = node.record()
    assert node.pipelines_made == 0
    assert record.evaluation.data == pb.EvaluatedData(
        examples_uri=node.shared.examples.uri,
        splits=["eval"],
        eval_config_digest=tfma.from_tfma(node.shared.best_alone.uri).data.eval_config_digest,
    )
    # TFMA stores no time, and no other one is made up.
    assert not record.evaluation.HasField("evaluated_at")
    assert record.evaluation.example_count == 100
    assert record.decision.basis == pb.ExportDecision.BASIS_UNSPECIFIED


def on_span(examples: types.Artifact, span: int) -> types.Artifact:
    """Returns the same Examples with the custom property that ExampleGen's driver sets."""
    result = copy.deepcopy(examples)
    result.set_int_custom_property("span", span)
    return result


@pytest.mark.parametrize(
    ("span", "reason"),
    [(8, pb.ExportDecision.OLDER_DATA), (9, pb.ExportDecision.BETTER)],
)
def test_a_candidate_on_an_older_span_is_not_exported(
    shared: Shared, tmp_path: Path, span: int, reason: int
):
    node = Node(shared, tmp_path / "serving")
    node.do(shared.best, shared.best_alone, on_span(shared.examples, 9))
    assert node.record().evaluation.data.span == 9
    examples = on_span(shared.examples, span)
    decision = node.do(shared.candidate, shared.candidate_beside_best, examples)
    assert (decision.reason, decision.candidate_evaluation.data.span) == (reason, span)


def test_evaluated_together_is_preferred(node: Node):
    shared = node.shared
    decision = node.do(shared.candidate, shared.candidate_beside_best, shared.examples)
    assert decision.basis == pb.ExportDecision.SAME_EVALUATION
    assert node.pipelines_made == 0
    assert decision.reason == pb.ExportDecision.BETTER
    assert compared(decision) == (0.95, 0.9)
    assert decision.best.evaluation.uri == shared.candidate_beside_best.uri
    (warning,) = decision.warnings
    assert "blessing" in warning
    # A baseline does not change the recorded data.
    assert node.record().evaluation.data == decision.best.evaluation.data


def test_the_best_is_evaluated_again_on_other_examples(node: Node):
    shared = node.shared
    decision = node.do(shared.candidate, shared.candidate_on_more, shared.more_examples)
    assert node.pipelines_made == 1
    assert decision.basis == pb.ExportDecision.EVALUATED_AGAIN
    assert compared(decision) == (0.95, 0.9)
    found = decision.best.evaluation
    assert found.example_count == 200
    assert found.data.examples_uri == shared.more_examples.uri
    assert found.data == decision.candidate_evaluation.data
    # The new evaluation is next to decision.json, with its slices.
    assert Path(found.uri).name == str(decision.best.version)
    again = tfma.from_tfma(found.uri)
    assert len(again.slices) == 2
    # No rule asks for significance, so the candidate is not evaluated again.
    assert again.baseline is None
    assert decision.slice_count == 2


@pytest.mark.e2e
@pytest.mark.parametrize("names", [None, ("mine", "theirs")])
def test_noise_is_that_of_the_difference_though_the_best_was_no_baseline(
    node: Node, names: tuple[str, str] | None
):
    """The best is wrong on 10 of 100 examples, and the candidate on 5 of these 10."""
    shared = node.shared
    config = served_models.EVAL_CONFIG + "options { compute_confidence_intervals { value: true } }"
    baseline = None
    if names:
        # Another model is the baseline, and one metric is for that baseline only.
        baseline = shared.work.model(0.9)
        config = config.replace("model_specs {", f'model_specs {{ name: "{names[0]}"', 1) + (
            f' model_specs {{ name: "{names[1]}" is_baseline: true label_key: "label"'
            ' signature_name: "serving_default" prediction_key: "above" }'
            f' metrics_specs {{ model_names: "{names[1]}" metrics {{ class_name: "MeanLabel" }} }}'
        )
    evaluated = served_models.evaluate(
        shared.work.artifact, shared.examples, shared.candidate, baseline, config
    )
    # TFMA draws the buckets at random. This alpha still passes with three times the true error.
    rule = {**_POLICY["metric"], "significance": {"alpha": 0.25}}
    decision = node.do(shared.candidate, evaluated, shared.examples, policy={"metric": rule})
    assert node.pipelines_made == 1
    assert decision.basis == pb.ExportDecision.EVALUATED_AGAIN
    assert compared(decision) == (0.95, 0.9)
    significance = decision.comparisons[0].significance
    assert significance.method == pb.SignificanceTest.PAIRED
    # The models differ on 5 of 100 examples: sqrt(0.05 * 0.95 / 100) = 0.022.
    assert 0.022 / 3 < significance.standard_error < 0.022 * 3
    assert decision.reason == pb.ExportDecision.BETTER
    # The new evaluation is next to decision.json, and has both models.
    again = tfma.from_tfma(decision.best.evaluation.uri)
    assert again.baseline is not None
    assert again["binary_accuracy"] == pytest.approx(0.95)
    assert len(again.slices) == 2
    difference = again.difference(MetricKey(name="binary_accuracy"))
    assert difference is not None
    assert significance.standard_error == difference.standard_error
    assert node.record().evaluation.uri == evaluated.uri


@pytest.mark.e2e
def test_two_models_that_are_not_the_baseline_are_not_evaluated_together(node: Node):
    """Evaluator accepts at most two models, so the best is evaluated alone for both names."""
    shared = node.shared
    config = (
        served_models.EVAL_CONFIG.replace("model_specs {", 'model_specs { name: "a"', 1)
        + ' model_specs { name: "b" label_key: "label" signature_name: "serving_default"'
        ' prediction_key: "above" } options { compute_confidence_intervals { value: true } }'
    )
    evaluated = served_models.evaluate(
        shared.work.artifact, shared.examples, shared.candidate, None, config
    )
    rule = {
        "metric": {"name": "binary_accuracy", "model_name": "a"},
        "direction": "HIGHER_IS_BETTER",
        "significance": {"alpha": 0.4},
    }
    decision = node.do(shared.candidate, evaluated, shared.examples, policy={"metric": rule})
    assert decision.basis == pb.ExportDecision.EVALUATED_AGAIN
    assert compared(decision) == (0.95, 0.9)
    assert decision.comparisons[0].significance.method == pb.SignificanceTest.WELCH
    assert decision.reason == pb.ExportDecision.BETTER


def test_examples_that_the_candidate_was_not_evaluated_on(node: Node):
    shared = node.shared
    decision = node.do(shared.candidate, shared.candidate_alone, shared.more_examples)
    [_, warning] = decision.warnings
    # The warning shows both numbers of examples.
    assert re.search(r"\b200\b.*\b100\b", warning)
    assert decision.basis == pb.ExportDecision.RECORDED_OTHER_DATA


def test_a_baseline_that_is_not_the_best_is_not_compared_with(node: Node):
    shared = node.shared
    decision = node.do(shared.candidate, shared.candidate_beside_another, shared.examples)
    assert decision.basis == pb.ExportDecision.EVALUATED_AGAIN
    assert compared(decision) == (0.95, 0.9)
    [_, warning] = decision.warnings
    assert "baseline" in warning


def test_without_examples_the_recorded_evaluation_is_compared_with(node: Node):
    shared = node.shared
    decision = node.do(shared.candidate, shared.candidate_alone)
    assert node.pipelines_made == 0
    # The examples of the candidate's evaluation are not known.
    assert decision.basis == pb.ExportDecision.RECORDED_OTHER_DATA


@pytest.mark.e2e
@pytest.mark.parametrize("has_same_examples", [True, False])
def test_a_best_that_cannot_be_evaluated(node: Node, has_same_examples: bool):
    shared = node.shared
    served = node.base_directory / str(node.record().version)
    # The examples do not have feature y.
    replaced = served_models.write_model(node.base_directory.parent / "other", 0.5, feature="y")
    shutil.copy(replaced / "saved_model.pb", served)
    candidate_evaluation, examples = (
        (shared.candidate_alone, shared.examples)
        if has_same_examples
        else (shared.candidate_on_more, shared.more_examples)
    )
    # The record must have the new content of the file.
    record_path = served / RECORD_PATH
    record = node.record()
    for entry in record.manifest:
        if entry.path == "saved_model.pb":
            digest = location_of(served / "saved_model.pb").digest()
            entry.size, entry.crc32c = digest.size, digest.crc32c
    record_path.write_text(json_format.MessageToJson(record, preserving_proto_field_name=True))

    with pytest.raises(RuntimeError) as caught:
        node.do(
            shared.candidate,
            candidate_evaluation,
            examples,
            policy={"comparability": "REQUIRE_SAME_DATA"},
        )
    assert "compare_policy.comparability" in str(caught.value)
    assert f"at {served} " in str(caught.value)
    assert node.record().version == record.version
    decision = node.do(shared.candidate, candidate_evaluation, examples)
    [_, warning] = decision.warnings
    assert "examples" in warning
    assert decision.basis == (
        pb.ExportDecision.RECORDED_SAME_DATA
        if has_same_examples
        else pb.ExportDecision.RECORDED_OTHER_DATA
    )
    assert compared(decision) == (0.95, 0.9)


def test_what_is_decided_without_the_best_does_not_evaluate_it(node: Node):
    shared = node.shared
    again = node.do(shared.best, shared.best_alone, shared.examples)
    assert again.reason == pb.ExportDecision.ALREADY_BEST
    blessing = shared.work.artifact(standard_artifacts.ModelBlessing)
    blessing.set_int_custom_property("blessed", 0)
    decision = shared.work.artifact(ExportDecision)
    Executor(BaseBeamExecutor.Context(make_beam_pipeline_fn=node.make_pipeline)).Do(
        {
            "model": [shared.candidate],
            "evaluation": [shared.candidate_alone],
            "examples": [shared.examples],
            "model_blessing": [blessing],
        },
        {
            "pushed_model": [shared.work.artifact(standard_artifacts.PushedModel)],
            "decision": [decision],
        },
        exec_properties(node.base_directory),
    )
    assert read_decision(decision).reason == pb.ExportDecision.NOT_BLESSED
    assert node.pipelines_made == 0


def test_an_evaluation_of_another_model(node: Node):
    shared = node.shared
    with pytest.raises(ValueError, match=about("evaluation")) as caught:
        node.do(shared.candidate, shared.best_alone)
    for uri in (shared.candidate.uri, shared.best.uri, shared.best_alone.uri):
        assert uri in str(caught.value)


def test_an_export_that_tensorflow_cannot_read_where_it_lies(
    shared: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source = files_of(shared.best)
    with s3_server("models") as url:
        for name, value in (
            ("AWS_ENDPOINT_URL_S3", url),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "b"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ):
            monkeypatch.setenv(name, value)
        export = Location(S3Storage(), "models/1732240000")
        copy_files([(source / path, export / path) for path in source.sizes()])
        evaluate = reevaluation_of(shared, shared.candidate_beside_best, tmp_path / "output")
        result = evaluate(export, None).best
    assert result["binary_accuracy"] == pytest.approx(0.9)
    assert result.uri == str(tmp_path / "output" / "1732240000")


@pytest.mark.e2e
def test_challengers_are_evaluated_in_one_pass(
    shared: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The challengers are wrong on 2 and 20 of 100 examples, and the best on 10.

    TFMA draws the buckets of examples for its intervals at random, so a seed is set here.
    """
    seeded = functools.partial(
        tensorflow_model_analysis.ExtractEvaluateAndWriteResults, random_seed_for_testing=7
    )
    monkeypatch.setattr(
        tensorflow_model_analysis, "ExtractEvaluateAndWriteResults", seeded, raising=True
    )
    evaluated = served_models.evaluate(
        shared.work.artifact,
        shared.examples,
        shared.candidate,
        None,
        served_models.EVAL_CONFIG + INTERVALS,
    )
    pipelines = []

    def make_pipeline() -> beam.Pipeline:
        pipelines.append(beam.Pipeline())
        return pipelines[-1]

    evaluate = reevaluation_of(shared, evaluated, tmp_path, make_pipeline)
    challengers = {
        "sha256:1": files_of(shared.work.model(0.52)),
        "sha256:2": files_of(shared.work.model(0.7)),
    }
    best, candidate = files_of(shared.best), files_of(shared.candidate)
    found = evaluate(best, candidate, challengers)
    assert found.warnings == ()
    assert len(pipelines) == 1
    assert found.together is not None
    assert found.best["binary_accuracy"] == pytest.approx(0.9)
    models = [
        (candidate, found.together, 0.95),
        (challengers["sha256:1"], found.challengers["sha256:1"], 0.98),
        (challengers["sha256:2"], found.challengers["sha256:2"], 0.8),
    ]
    for model, joint, accuracy in models:
        assert joint["binary_accuracy"] == pytest.approx(accuracy)
        # The result is that of Evaluator for two models.
        alone = evaluate(best, model).together
        assert alone is not None
        assert_equal_evaluations(joint, alone)
        assert len(joint.slices) == 2
        for key, part in joint.slices.items():
            assert_equal_evaluations(part, alone.slices[key])
    assert len(pipelines) == 4


def known(value: MetricValue) -> dict[str, float]:
    return {name: each for name, each in dataclasses.asdict(value).items() if each is not None}


def assert_equal_evaluations(one: EvalResult, other: EvalResult) -> None:
    """Asserts that the values, errors and differences of two models and baselines are equal."""
    assert one.data == other.data
    assert one.baseline is not None
    assert other.baseline is not None
    for metrics, expected in (
        (one.metrics, other.metrics),
        (one.differences, other.differences),
        (one.baseline.metrics, other.baseline.metrics),
    ):
        assert metrics.keys() == expected.keys() == {ACCURACY, COUNT}
        for key in expected:
            assert known(metrics[key]) == pytest.approx(known(expected[key]), rel=1e-6)
    difference = one.difference(ACCURACY)
    assert difference is not None
    assert difference.standard_error
    assert difference.degrees_of_freedom == 19


def test_a_challenger_that_cannot_be_evaluated_is_left_out(
    shared: Shared, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    evaluate = reevaluation_of(shared, shared.candidate_alone, tmp_path)
    best, candidate = files_of(shared.best), files_of(shared.candidate)
    # The examples do not have feature y.
    broken = {"sha256:3": files_of(shared.work.model(0.52, feature="y"))}
    found = evaluate(best, candidate, {"sha256:1": files_of(shared.work.model(0.52)), **broken})
    [logged] = [each.message for each in caplog.records if each.name == reevaluation.__name__]
    assert logged.startswith(
        "cannot evaluate the best, the candidate and the challengers in one pass, so they are"
        " evaluated one after another: "
    )
    assert list(found.challengers) == ["sha256:1"]
    assert found.challengers["sha256:1"]["binary_accuracy"] == pytest.approx(0.98)
    (warning,) = found.warnings
    assert warning.startswith("challenger sha256:3 was not measured: ")
    assert found.together is not None
    # Another evaluation has another directory.
    again = evaluate(best, candidate)
    assert (again.challengers, again.warnings) == ({}, ())
    assert again.best.uri != found.best.uri


@pytest.mark.e2e
def test_challengers_of_an_eval_config_with_several_models(shared: Shared, tmp_path: Path):
    config = served_models.EVAL_CONFIG.replace("model_specs {", 'model_specs { name: "a"', 1) + (
        ' model_specs { name: "b" label_key: "label" signature_name: "serving_default"'
        ' prediction_key: "above" }'
    )
    evaluated = served_models.evaluate(
        shared.work.artifact, shared.examples, shared.candidate, None, config
    )
    evaluate = reevaluation_of(shared, evaluated, tmp_path)
    found = evaluate(
        files_of(shared.best),
        files_of(shared.candidate),
        {"sha256:1": files_of(shared.candidate)},
    )
    assert (found.together, found.challengers) == (None, {})
    (warning,) = found.warnings
    assert warning == (
        "challenger sha256:1 was not measured: the EvalConfig has several models in addition to"
        " the baseline"
    )


def test_a_challenger_that_was_evaluated_on_other_examples_is_left_out(
    shared: Shared, tmp_path: Path
):
    examples = shared.work.examples(100)
    pipelines = []

    def make_pipeline() -> beam.Pipeline:
        # The examples are replaced before the third pass, which is that of the first challenger.
        # The first pass fails, and the second one is that of the candidate.
        if len(pipelines) == 2:
            more = Path(shared.more_examples.uri)
            shutil.copytree(more, examples.uri, dirs_exist_ok=True)
        pipelines.append(beam.Pipeline())
        return pipelines[-1]

    evaluate = reevaluation_of(
        shared, shared.candidate_alone, tmp_path, make_pipeline, examples=examples
    )
    challengers = {
        "sha256:1": files_of(shared.work.model(0.52)),
        "sha256:3": files_of(shared.work.model(0.52, feature="y")),
    }
    found = evaluate(files_of(shared.best), files_of(shared.candidate), challengers)
    assert found.challengers == {}
    (warning, _) = found.warnings
    assert warning == (
        "challenger sha256:1 was not measured: the best's values differ between two evaluations:"
        " it was evaluated on 200 examples, and on 100 before"
    )


@pytest.mark.e2e
@pytest.mark.parametrize("executor", container.OUR_EXECUTORS)
def test_a_container_evaluates_the_best_again(
    shared: Shared, tmp_path: Path, containers: Containers, executor: str
):
    examples = artifact(
        "tfx.Examples",
        Path(shared.more_examples.uri),
        split_names='["eval"]',
        file_format="tfrecords_gzip",
        payload_format="FORMAT_TF_EXAMPLE",
    )
    for name, model, evaluation in (
        ("first", shared.best, shared.best_alone),
        ("second", shared.candidate, shared.candidate_on_more),
    ):
        content = executor_input(tmp_path, name, model.uri, evaluation.uri)
        content["inputs"]["artifacts"]["examples"] = examples
        words = [
            "--executor_class_path",
            executor,
            "--json_serialized_invocation_args",
            json.dumps(content),
            "--json_serialized_inputs_spec_args",
            json.dumps(INPUTS_SPEC),
        ]
        ended = containers.run(["python", "-m", container.__name__, *words], {})
        assert ended.code == 0, ended.log
    text = (tmp_path / "second" / "decision" / "decision.json").read_text()
    decision = json_format.Parse(text, pb.ExportDecision())
    assert decision.basis == pb.ExportDecision.EVALUATED_AGAIN, decision
    assert compared(decision) == (0.95, 0.9)
    assert decision.best.evaluation.example_count == 200


@pytest.mark.parametrize("is_published", [True, False])
def test_examples_are_to_evaluator_what_they_were(is_published: bool):
    given = standard_artifacts.Examples()
    given.uri = "/examples"
    given.span = 3
    given.split_names = '["train", "eval"]'
    given.set_int_custom_property("payload_format", 6)
    given.set_string_custom_property("file_format", "tfrecords_gzip")
    given.set_json_value_custom_property("number", 2.0)
    given.set_json_value_custom_property("list", [1.0, "a"])
    if is_published:
        given.set_string_custom_property("tfx_version", "0.28.0")
        given.mlmd_artifact.state = metadata_store_pb2.Artifact.LIVE
    [value] = values_of({"examples": [given]})["examples"]
    made = reevaluation._artifact_of(value)
    assert made.mlmd_artifact == given.mlmd_artifact
    # TFX before 0.29 used other directories for splits.
    directory = "/examples/eval" if is_published else "/examples/Split-eval"
    assert artifact_utils.get_split_uri([made], "eval") == directory
