"""Whole pipelines in pods of Kubeflow Pipelines, with minio:// as the pipeline root.

The steps have no credentials of the object store behind minio://. `make test-kubeflow` runs these
tests, and `make test` does not.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from tfx import v1 as tfx

from pipelines import compiled, demo, penguin_pipeline
from tests.containers import launcher, pods
from tests.containers.launcher import Artifact
from tests.containers.pods import Cluster, Pod
from tests.containers.processes import Containers
from tests.pipelines.test_examples import BEAM_ARGUMENTS, write_taxi_trips
from tfx_best_exporter.component import BestExporter
from tfx_best_exporter.executor.policies import compare_policy, larger
from tfx_best_exporter.proto import best_exporter_pb2 as pb

pytestmark = [pytest.mark.e2e, pytest.mark.kubeflow]

# The name is also that of a local folder.
BUCKET = "mlpipeline-best-exporter-test"
ROOT = f"minio://{BUCKET}/v2/artifacts"
STEPS = ["ImportExampleGen", "Trainer", "Evaluator", "BestExporter"]

Run = dict[str, Pod]


@pytest.fixture(scope="module")
def cluster(containers: Containers) -> Iterator[Cluster]:
    with pods.cluster(BUCKET, launcher.NEWEST_KUBEFLOW, containers) as result:
        yield result


def compile_job(base_path: Path, epochs: int, *, passes_examples: bool = True) -> dict[str, Any]:
    return compiled.compile_job(
        {
            "image": "tfx-best-exporter",
            "pipeline_root": ROOT,
            "base_directory": str(base_path),
            "data_root": penguin_pipeline.penguin_data_root(),
            "run_fn": compiled.RUN_FN,
            "passes_examples": passes_examples,
            "exports_to_keep": demo.EXPORTS_TO_KEEP,
            "enable_cache": True,
            "epochs": epochs,
        }
    )


def decision_of(cluster: Cluster, run: Run) -> pb.ExportDecision:
    pod = run[compiled.EXPORTER_ID]
    content = cluster.read(f"{pod.outputs['decision'].uri}/decision.json")
    return json_format.Parse(content, pb.ExportDecision())


def said(decision: pb.ExportDecision) -> dict[str, Any]:
    """Returns the parts of a decision that runners share."""
    return {
        "reason": pb.ExportDecision.Reason.Name(decision.reason),
        "exported": decision.exported,
        "kept": [each.why for each in decision.kept],
        "retired": [each.why for each in decision.retired],
        "candidate": {
            each.key.name: pytest.approx(each.value, rel=1e-3)
            for each in decision.candidate_evaluation.metrics
        },
    }


def check_story(
    decisions: Sequence[pb.ExportDecision], story: Sequence[pb.ExportDecision], base_path: Path
) -> None:
    """Checks that decisions are those of the LocalDagRunner, with the same exports at the end."""
    for number, (step, decision) in enumerate(zip(demo.STORY, decisions, strict=True), 1):
        demo.check_decision(step, number, decision)
        assert list(decision.warnings) == []
    assert [said(decision) for decision in decisions] == [said(each) for each in story]
    names = {path.name for path in base_path.iterdir() if path.name.isdecimal()}
    assert names == {str(decision.version) for decision in decisions[2:4]}


@pytest.fixture(scope="module")
def base_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kubeflow") / "serving"


@pytest.fixture(scope="module")
def runs(cluster: Cluster, base_path: Path) -> list[Run]:
    """Runs the story. Each run with a new candidate has all steps."""
    result: list[Run] = []
    for step, before in zip(demo.STORY, [None, *demo.STORY], strict=False):
        # The last run has the candidate of the one before, as from the cache of LocalDagRunner.
        is_same = before is not None and step.epochs == before.epochs
        run = cluster.run_pipeline(
            compile_job(base_path, step.epochs), outputs_of(result[-1]) if is_same else None
        )
        assert [*run] == (STEPS[-1:] if is_same else STEPS)
        result.append({**result[-1], **run} if is_same else run)
    return result


def outputs_of(run: Run) -> dict[str, Mapping[str, Artifact]]:
    """Returns the outputs of all steps before BestExporter."""
    return {name: pod.outputs for name, pod in run.items() if name != compiled.EXPORTER_ID}


def test_the_story(
    cluster: Cluster, runs: list[Run], base_path: Path, story: list[pb.ExportDecision]
):
    decisions = [decision_of(cluster, run) for run in runs]
    check_story(decisions, story, base_path)
    # Each later candidate was compared on its own examples.
    assert bases_of(decisions[1:4]) == ["EVALUATED_AGAIN"] * 3


def test_the_story_without_examples(
    cluster: Cluster, runs: list[Run], tmp_path: Path, story: list[pb.ExportDecision]
):
    base_path = tmp_path / "serving"
    decisions: list[pb.ExportDecision] = []
    for step, earlier in zip(demo.STORY, runs, strict=True):
        job = compile_job(base_path, step.epochs, passes_examples=False)
        decisions.append(decision_of(cluster, cluster.run_pipeline(job, outputs_of(earlier))))
    check_story(decisions, story, base_path)
    assert all(basis.startswith("RECORDED_") for basis in bases_of(decisions[1:4]))

    # ImportExampleGen is not cached, so a new run trains again, and TensorFlow writes a random ID
    # to fingerprint.pb of each model.
    run = cluster.run_pipeline(compile_job(base_path, demo.STORY[-1].epochs, passes_examples=False))
    assert [*run] == STEPS
    again = decision_of(cluster, run)
    assert again.reason in (pb.ExportDecision.NOT_BETTER, pb.ExportDecision.BETTER)
    assert said(again)["candidate"] == said(decisions[-1])["candidate"]


def bases_of(decisions: Sequence[pb.ExportDecision]) -> list[str]:
    return [pb.ExportDecision.Basis.Name(decision.basis) for decision in decisions]


def taxi_pipeline(data_path: Path, base_path: Path) -> Any:
    """Returns TFX's taxi pipeline with BestExporter, and without its resolver of a baseline.

    Kubeflow Pipelines has no resolvers. The image contains the module of TFX, so nothing writes
    wheels to minio://.
    """
    module = "tfx.examples.chicago_taxi_pipeline.taxi_utils_native_keras"
    components = tfx.components
    example_gen = components.CsvExampleGen(input_base=str(data_path))
    examples = example_gen.outputs["examples"]
    statistics_gen = components.StatisticsGen(examples=examples)
    statistics = statistics_gen.outputs["statistics"]
    schema_gen = components.SchemaGen(statistics=statistics, infer_feature_shape=True)
    schema = schema_gen.outputs["schema"]
    validator = components.ExampleValidator(statistics=statistics, schema=schema)
    transform = components.Transform(
        examples=examples, schema=schema, preprocessing_fn=f"{module}.preprocessing_fn"
    )
    trainer = components.Trainer(
        run_fn=f"{module}.run_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema,
        train_args=tfx.proto.TrainArgs(num_steps=20),
        eval_args=tfx.proto.EvalArgs(num_steps=5),
    )
    evaluator = components.Evaluator(
        examples=examples,
        model=trainer.outputs["model"],
        eval_config=tfma.EvalConfig(
            model_specs=[
                tfma.ModelSpec(
                    signature_name="serving_default",
                    label_key="tips_xf",
                    preprocessing_function_names=["transform_features"],
                )
            ],
            slicing_specs=[tfma.SlicingSpec()],
            metrics_specs=[
                tfma.MetricsSpec(metrics=[tfma.MetricConfig(class_name="BinaryAccuracy")])
            ],
        ),
    )
    exporter = BestExporter(
        model=trainer.outputs["model"],
        evaluation=evaluator.outputs["evaluation"],
        examples=examples,
        compare_policy=compare_policy(larger("binary_accuracy")),
        push_destination={"filesystem": {"base_directory": str(base_path)}},
    )
    return tfx.dsl.Pipeline(
        pipeline_name="taxi",
        pipeline_root=ROOT,
        components=[
            example_gen,
            statistics_gen,
            schema_gen,
            validator,
            transform,
            trainer,
            evaluator,
            exporter,
        ],
        beam_pipeline_args=BEAM_ARGUMENTS,
    )


def test_a_pipeline_with_transform(cluster: Cluster, tmp_path: Path):
    write_taxi_trips(tmp_path / "data" / "data.csv", 1000)
    pipeline = taxi_pipeline(tmp_path / "data", tmp_path / "serving")
    job = compiled.compile_pipeline(pipeline, image="tfx-best-exporter")
    run = cluster.run_pipeline(job)
    assert run.keys() == {node.id for node in pipeline.components}
    transform_graph = run["Transform"].outputs["transform_graph"]
    assert transform_graph.uri.startswith(ROOT)
    assert cluster.read(f"{transform_graph.uri}/transform_fn/saved_model.pb")
    decision = decision_of(cluster, run)
    assert decision.reason == pb.ExportDecision.FIRST_EXPORT
    assert (tmp_path / "serving" / str(decision.version) / "saved_model.pb").is_file()
