"""Checks the documents: snippets run, and tables and examples match the code."""

import ast
import dataclasses
import doctest
import importlib
import inspect
import itertools
import math
import re
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp

from pipelines import command_line
from tests.docs import examples, worked_challengers
from tests.executor.deciding.decided import decide_by
from tests.tfx_runs import write_evaluation
from tfx_best_exporter.executor import keys, policies
from tfx_best_exporter.executor.deciding import thresholds
from tfx_best_exporter.executor.deciding.configured import Configured, ConfiguredMetric
from tfx_best_exporter.executor.deciding.decide import GATES, decide
from tfx_best_exporter.executor.deciding.eval_result import (
    EvalResult,
    EvaluatedData,
    MetricKey,
    MetricValue,
)
from tfx_best_exporter.executor.deciding.ledger import Measured, Row
from tfx_best_exporter.executor.deciding.models import (
    Best,
    Blessing,
    BlessingStatus,
    Candidate,
    Challenger,
    Contest,
    Decision,
    Observation,
)
from tfx_best_exporter.executor.deciding.policy import DEFAULT_COMPARE_POLICY, policy_from_proto
from tfx_best_exporter.executor.deciding.signatures import Signature, TensorSpec
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports import retention
from tfx_best_exporter.proto import best_exporter_pb2 as pb

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")],
    key=lambda path: path.relative_to(ROOT).as_posix(),
)
README = ROOT / "README.md"
DECIDING = ROOT / "docs" / "deciding.md"
DECISION_JSON = ROOT / "docs" / "decision-json.md"
FILES = ROOT / "docs" / "files.md"
FROM_ESTIMATOR = ROOT / "docs" / "migrating-from-estimator.md"
FROM_PUSHER = ROOT / "docs" / "migrating-from-pusher.md"
RUNNERS = ROOT / "docs" / "runners.md"

# The only hosts that the documents link to.
HOSTS = {"keepachangelog.com", "semver.org"}
# The only snippet that is neither run nor a part of another file.
NOT_RUN = "not run: TensorFlow no longer has tf.estimator"
# First folders of the absolute paths in examples.
EXAMPLE_ROOTS = {"data", "eval", "minio", "mlpipeline", "models", "pipelines", "serving"}


# The EvalConfig of the pipeline that the snippets extend.
EVAL_CONFIG = {
    "slicing_specs": [{}, {"feature_keys": ["country"]}],
    "metrics_specs": [
        {
            "metrics": [
                {"class_name": "ExampleCount"},
                {"class_name": "AUC", "threshold": {"value_threshold": {"lower_bound": 0.6}}},
                {"class_name": "Recall"},
                {"class_name": "BinaryCrossentropy", "config": '"name": "loss"'},
                {"class_name": "SparseCategoricalAccuracy"},
            ]
        }
    ],
    "options": {"compute_confidence_intervals": True},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of a document; `comment` is the HTML comment directly above it."""

    document: Path
    line: int
    language: str
    text: str
    comment: str


def blocks_of(document: Path) -> Iterator[Block]:
    lines = document.read_text(encoding="utf-8").splitlines()
    start = None
    for number, line in enumerate(lines):
        if line.startswith("```"):
            if start is None:
                start = number
            else:
                above = re.fullmatch(r"<!-- (.*) -->", lines[start - 1])
                yield Block(
                    document=document,
                    line=start + 1,
                    language=lines[start][3:],
                    text="\n".join(lines[start + 1 : number]) + "\n",
                    comment=above[1] if above else "",
                )
                start = None
    assert start is None, f"{document}: the block that starts after line {start} is not closed"


BLOCKS = [block for document in DOCUMENTS for block in blocks_of(document)]


def block_ids(block: Block) -> str:
    return f"{name_of(block.document)}:{block.line}"


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


def section_of(document: Path, heading: str) -> str:
    sections = re.split(r"^## (.+)\n", document.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(sections[1::2], sections[2::2], strict=True))[heading]


def rows_of(section: str) -> list[list[str]]:
    """Returns the cells of a table's rows, without the header."""
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def save_model(path: Path, weight: float) -> None:
    import tensorflow as tf

    module: Any = tf.Module()
    module.weight = tf.Variable(tf.constant(weight))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def predict(x):
        return {"y": module.weight * x}

    tf.saved_model.save(module, str(path), signatures={"serving_default": predict})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    save_model(path / "candidate", 2.0)
    save_model(path / "worse", 3.0)
    return path


@pytest.fixture(scope="module")
def names() -> Mapping[str, Any]:
    """Returns the names that a snippet uses: the pipeline that the exporter is added to."""
    import tensorflow_model_analysis as tfma
    from tfx import v1 as tfx

    example_gen = tfx.components.ImportExampleGen(input_base="/data/penguin")
    trainer = tfx.components.Trainer(
        run_fn="training.run_fn", examples=example_gen.outputs["examples"]
    )
    eval_config = json_format.ParseDict(EVAL_CONFIG, tfma.EvalConfig())
    evaluator = tfx.components.Evaluator(
        examples=example_gen.outputs["examples"],
        model=trainer.outputs["model"],
        eval_config=eval_config,
    )
    push_destination = tfx.proto.PushDestination(
        filesystem=tfx.proto.PushDestination.Filesystem(base_directory="/serving/penguin")
    )
    return {
        "tfx": tfx,
        "example_gen": example_gen,
        "eval_config": eval_config,
        "trainer": trainer,
        "evaluator": evaluator,
        "push_destination": push_destination,
    }


@pytest.fixture
def workdir(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Returns a current directory with models/ on the import path; undoes its imports later."""
    (tmp_path / "models").symlink_to(models)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "vocabulary.txt").write_text("gentoo\n")
    blocks = (block for block in BLOCKS if block.document == DECISION_JSON)
    [decision] = [block for block in blocks if block.language == "json"]
    (tmp_path / "decision.json").write_text(decision.text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    importlib.invalidate_caches()
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) == str(tmp_path / f"{name}.py"):
            del sys.modules[name]


def run(block: Block, text: str, namespace: dict[str, Any], workdir: Path) -> None:
    """Runs a snippet, and writes it to the file that its first line names, if any."""
    file_name = re.match(r"# (\w+\.py)\n", text)
    if file_name:
        (workdir / file_name[1]).write_text(text)
    # Examples contain absolute paths, which are moved below the test's directory.
    text = re.sub(rf'"/({"|".join(EXAMPLE_ROOTS)})/', rf'"{workdir}/\1/', text)
    # Empty lines give the snippet its line numbers in tracebacks.
    exec(compile("\n" * block.line + text, block.document, "exec"), namespace)


def python_blocks(document: Path) -> list[Block]:
    return [
        block
        for block in BLOCKS
        if block.document == document and block.language == "python" and not block.comment
    ]


def run_document(document: Path, names: Mapping[str, Any], workdir: Path) -> dict[str, Any]:
    """Runs the snippets of a document in order, and returns the names that they defined."""
    namespace = {"__name__": "snippet", **names}
    for block in python_blocks(document):
        run(block, block.text, namespace, workdir)
    return namespace


# --- snippets ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "document",
    [document for document in DOCUMENTS if python_blocks(document)],
    ids=name_of,
)
def test_python_snippets_run(document: Path, names: Mapping[str, Any], workdir: Path):
    run_document(document, names, workdir)


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "python"], ids=block_ids
)
def test_python_snippets_run_or_are_parts_of_files_that_do(block: Block):
    ast.parse(block.text)
    if not block.comment or block.comment == NOT_RUN:
        return
    source = re.fullmatch(r"(lines of|run by) ([\w/.]+)(?:, .+)?", block.comment)
    assert source, block.comment
    text = (ROOT / source[2]).read_text(encoding="utf-8")
    if source[1] == "lines of":
        assert [line for line in block.text.splitlines() if line not in text] == []
    else:
        # The test finds the snippet by the name in its first line.
        name = re.match(r"# (\w+)\.py\n", block.text)
        assert name
        assert f'"{name[1]}"' in text


def is_about(block: Block, name: str) -> bool:
    return block.language == "diff" and f"+    strategy_class={name}" in block.text


@pytest.mark.slow
@pytest.mark.parametrize(
    "block",
    [block for block in BLOCKS if is_about(block, "BestExportedModelStrategy")],
    ids=block_ids,
)
def test_diffs_of_a_resolver(block: Block, names: Mapping[str, Any], workdir: Path):
    from tfx.dsl.components.common.resolver import RESOLVER_STRATEGY_CLASS
    from tfx.v1.dsl.experimental import LatestBlessedModelStrategy

    from tfx_best_exporter.component import BestExportedModelStrategy

    lines = block.text.splitlines()
    strategies = {"-": LatestBlessedModelStrategy, "+": BestExportedModelStrategy}
    for sign, strategy in strategies.items():
        namespace: dict[str, Any] = {"__name__": "snippet", **names}
        text = "\n".join(line[1:] for line in lines if line[:1] in (" ", sign, ""))
        run(block, text, namespace, workdir)
        resolver = namespace["model_resolver"]
        assert resolver.exec_properties[RESOLVER_STRATEGY_CLASS] is strategy
        assert set(resolver.outputs) == {"model", "model_blessing"}
    added = [line for line in lines if line.startswith("+    ")]
    assert len(added) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "block",
    [block for block in BLOCKS if block.language == "diff" and "BestExporter(" in block.text],
    ids=block_ids,
)
def test_diffs_turn_a_pusher_into_a_best_exporter(
    block: Block, names: Mapping[str, Any], workdir: Path
):
    from tfx.components import Pusher

    from tfx_best_exporter.component import BestExporter

    lines = block.text.splitlines()
    (target,) = re.findall(r"^\+(\w+) = BestExporter\(", block.text, re.MULTILINE)
    for sign, component in (("-", Pusher), ("+", BestExporter)):
        namespace = {"__name__": "snippet", **names}
        text = "\n".join(line[1:] for line in lines if line[:1] in (" ", sign, ""))
        run(block, text, namespace, workdir)
        assert type(namespace[target]) is component
    # Apart from the import, only the call changes.
    assert [line for line in lines if line.startswith("-")] == [
        f"-{target} = tfx.components.Pusher("
    ]
    assert [line for line in lines if line.startswith("+") and " import " not in line] == [
        "+",
        f"+{target} = BestExporter(",
        '+    evaluation=evaluator.outputs["evaluation"],',
        '+    examples=example_gen.outputs["examples"],',
    ]


@pytest.mark.slow
def test_model_exporter_does_what_readme_says(
    names: Mapping[str, Any], workdir: Path, capsys: pytest.CaptureFixture[str]
):
    namespace = run_document(README, names, workdir)
    assert Path(namespace["path"]).parent == workdir / "serving" / "penguin"
    assert namespace["skipped"] is None
    (comment,) = re.findall(r"# (.+)\nprint\(decision.explanation\)", README.read_text())
    examples.compare(README, f"# {comment}\n", f"# {capsys.readouterr().out}")
    assert (workdir / "serving" / "penguin").is_dir()


@pytest.mark.slow
def test_compare_function_of_readme(names: Mapping[str, Any], workdir: Path):
    run_document(README, names, workdir)
    compare_fn = importlib.import_module("comparing").smaller_loss_same_auc
    exporter = ModelExporter(str(workdir / "base"), compare_fn=compare_fn)
    assert exporter.export("models/candidate", {"loss": 0.3, "auc": 0.9})
    better = exporter.decide("models/worse", {"loss": 0.2, "auc": 0.9})
    paid = exporter.decide("models/worse", {"loss": 0.2, "auc": 0.8})
    assert (better.reason, paid.reason) == (
        pb.ExportDecision.BETTER,
        pb.ExportDecision.NOT_BETTER,
    )


@pytest.mark.slow
def test_signatures_of_the_estimator_page(names: Mapping[str, Any], workdir: Path):
    import tensorflow as tf

    run_document(FROM_ESTIMATOR, names, workdir)
    module = importlib.import_module("exporting")
    exporter = ModelExporter(
        str(workdir / "base"),
        compare_fn=module.auc_larger,
        serving_signatures_fn=module.serving_signatures_fn,
        assets_extra={"vocabulary.txt": str(workdir / "data" / "vocabulary.txt")},
    )
    path = exporter.export("models/candidate", {"auc": 0.9})
    assert path is not None
    twice: Any = tf.saved_model.load(path).signatures["twice"]
    assert twice(x=tf.constant([1.0]))["y"].numpy().tolist() == [4.0]
    assert (Path(path) / "assets.extra" / "vocabulary.txt").read_text() == "gentoo\n"


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "json"], ids=block_ids
)
def test_json_examples_are_messages(block: Block):
    message = pb.ExportRecord() if block.document == FILES else pb.ExportDecision()
    json_format.Parse(block.text, message)
    assert message.schema_version == 1


# --- tables and lists ------------------------------------------------------------------------


@pytest.mark.slow
def test_arguments_table_is_the_signature():
    from tfx_best_exporter.component import BestExporter

    parameters = list(inspect.signature(BestExporter.__init__).parameters.values())[1:]
    rows = rows_of(section_of(README, "Arguments"))
    assert [(row[0].strip("`"), ast.literal_eval(row[1].strip("`"))) for row in rows] == [
        (parameter.name, parameter.default) for parameter in parameters
    ]
    positional = [each for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    assert len(positional) == 3


def test_model_exporter_arguments_are_named():
    parameters = list(inspect.signature(ModelExporter.__init__).parameters)[2:]
    section = section_of(README, "Without TFX").split("It takes")[1]
    for_tests = {"clock", "load_function"}
    assert [
        name for name in parameters if name not in for_tests and f"`{name}`" not in section
    ] == []


@pytest.mark.slow
def test_every_parameter_of_pusher_has_a_row():
    from tfx.components import Pusher

    parameters = list(inspect.signature(Pusher.__init__).parameters)[1:]
    cells = " ".join(row[0] for row in rows_of(section_of(FROM_PUSHER, "Parameters")))
    assert [name for name in parameters if f"`{name}`" not in cells] == []


@pytest.mark.parametrize(
    "argument",
    [
        'name="best_exporter"',
        "serving_input_receiver_fn",
        'event_file_pattern="eval/*.tfevents.*"',
        "compare_fn=_loss_smaller",
        "assets_extra",
        "as_text=False",
        "exports_to_keep=5",
        "export(estimator, export_path, checkpoint_path, eval_result, is_the_final_export)",
    ],
)
def test_every_argument_of_the_predecessor_has_a_row(argument: str):
    cells = [row[0] for row in rows_of(section_of(FROM_ESTIMATOR, "Line by line"))]
    assert any(cell.startswith(f"`{argument}`") for cell in cells)


def test_every_custom_property_has_a_row():
    rows = rows_of(section_of(FILES, "Custom properties"))
    documented = {row[0].strip("`").removesuffix("<metric>") for row in rows}
    stored = {
        value
        for name, value in vars(keys).items()
        if name.endswith(("_PROPERTY", "_METRIC_PREFIX"))
    }
    assert documented == stored


@pytest.mark.parametrize("name", ["kubeflow", "vertex"])
def test_the_command_lines_of_the_runners_page_are_understood(name: str):
    parser = command_line.create_parser(command_line.PLATFORMS[name])
    text = section_of(RUNNERS, "The pipelines").replace("\\\n", " ")
    prefix = rf"^    python -m pipelines\.compiled (--platform {name} .+)$"
    commands = re.findall(prefix, text, re.MULTILINE)
    given = [vars(parser.parse_args(shlex.split(command))) for command in commands]
    assert [each["command"] for each in given[:2]] == ["compile", "submit"]
    assert given[0]["base_directory"] == "gs://serving/penguin"
    assert given[0]["output"] == given[1]["pipeline"]
    assert [each["command"] for each in given[2:]] == (["compile"] if name == "kubeflow" else [])


# Values for the example sentences, by reason.
NAN = math.nan
BLESSING_URI = "/pipelines/penguin/Evaluator/blessing/7"
KEEP = pb.ComparePolicy.KEEP
LOSS = policies.smaller("loss")
NOISY = policies.smaller("loss", alpha=0.05)
RECALLS = policies.at_least("auc", max_regression=0.02)
DAY = 86400
TOO_SMALL = thresholds.FailedThreshold(
    key=MetricKey(name="auc"),
    slice_key=(("country", "nl"),),
    value=0.58,
    threshold=thresholds.Threshold(lower_bound=0.6),
)


def at(day: int) -> Timestamp:
    return Timestamp(seconds=1795305600 + day * DAY)


def action(reason: str) -> pb.OperatorAction:
    return pb.OperatorAction(operator="ana@serving-1", reason=reason, at=at(0))


def estimate(value: float, standard_error: float, degrees_of_freedom: float) -> MetricValue:
    return MetricValue(
        value=value, standard_error=standard_error, degrees_of_freedom=degrees_of_freedom
    )


def contest(**challenger: float) -> Contest:
    """Returns a contest in which an earlier run measured the challenger too."""
    measured = {
        "sha256:best": Measured(value=-0.738),
        "sha256:candidate": Measured(value=-0.733, standard_error=0.005, degrees_of_freedom=19),
    }
    measured |= {
        name: Measured(value=-value, standard_error=0.005, degrees_of_freedom=19)
        for name, value in challenger.items()
    }
    row = Row(data="", example_count=300, best="sha256:best", models=measured)
    earlier = {name: each for name, each in measured.items() if name != "sha256:candidate"}
    rows = [dataclasses.replace(row, data="sha256:tuesday")]
    if challenger:
        rows.insert(0, dataclasses.replace(row, data="sha256:monday", models=earlier))
    return Contest(
        rows=tuple(rows),
        challengers={
            name: Challenger(
                candidate=Candidate(
                    digest=name,
                    eval_result=EvalResult({MetricKey(name="loss"): estimate(value, 0.02, 19)}),
                ),
                size_bytes=1,
            )
            for name, value in challenger.items()
        },
        candidate_bytes=1,
        best_bytes=1,
    )


CHALLENGED = policies.compare_policy(policies.smaller("loss", alpha=0.05, challengers=2))

CASES: dict[str, SimpleNamespace] = {
    "FIRST_EXPORT": SimpleNamespace(loss=0.738),
    "BETTER": SimpleNamespace(loss=0.178, best=0.738),
    "BEST_IS_NAN": SimpleNamespace(loss=0.178, best=NAN),
    "BEST_UNKNOWN_EXPORTED": SimpleNamespace(
        loss=0.178, best=None, policy=policies.compare_policy(LOSS, on_unknown_best="EXPORT")
    ),
    "BEING_WRITTEN": SimpleNamespace(
        loss=0.178,
        best=0.738,
        being_written=(
            "version 1795331999 is being written: variables/variables.index is missing or empty; it"
            " last changed 12 seconds ago"
        ),
    ),
    "REJECTED": SimpleNamespace(
        loss=0.178,
        best=0.738,
        rejection=pb.Rejection(
            action=action("wrong labels"), digest="sha256:candidate", version=1795331850
        ),
    ),
    "ON_HOLD": SimpleNamespace(
        loss=0.178, best=0.738, hold=pb.Hold(action=action("release freeze"), until=at(3))
    ),
    "AWAITING_APPROVAL": SimpleNamespace(
        loss=0.178, best=0.738, policy=policies.compare_policy(LOSS, approval="REQUIRED")
    ),
    "ALREADY_BEST": SimpleNamespace(loss=0.178, best=0.178, digest="sha256:best"),
    "REEXPORTED": SimpleNamespace(
        loss=0.178,
        best=0.178,
        digest="sha256:best",
        recipe=pb.Recipe(as_text=True),
    ),
    "NOT_BETTER": SimpleNamespace(loss=0.946, best=0.738),
    "NOT_BLESSED": SimpleNamespace(
        loss=0.178,
        blessing=BlessingStatus.NOT_BLESSED,
        why=thresholds.text_of([TOO_SMALL, TOO_SMALL]),
    ),
    "BLESSING_NOT_COMPUTED": SimpleNamespace(
        loss=0.178,
        blessing=BlessingStatus.NOT_COMPUTED,
        why=thresholds.missing_text(Configured(metrics=(ConfiguredMetric(name="auc"),))),
    ),
    "CANDIDATE_IS_NAN": SimpleNamespace(loss=NAN, best=0.738),
    "BEST_UNKNOWN_KEPT": SimpleNamespace(
        loss=0.178, best=None, policy=policies.compare_policy(LOSS, on_unknown_best="KEEP")
    ),
    "FORCED": SimpleNamespace(
        loss=0.946,
        best=0.738,
        policy=policies.compare_policy(LOSS, force="labels before June were wrong"),
    ),
    "GUARDRAIL_FAILED": SimpleNamespace(
        loss=0.178, best=0.738, policy=policies.compare_policy(LOSS, guardrails=[RECALLS])
    ),
    "NOT_SIGNIFICANT": SimpleNamespace(loss=0.7, best=0.738, policy=policies.compare_policy(NOISY)),
    "NOT_COMPARABLE": SimpleNamespace(
        loss=0.178,
        best=0.738,
        policy=policies.compare_policy(LOSS, comparability="REQUIRE_SAME_DATA"),
    ),
    "TOO_FEW_EXAMPLES": SimpleNamespace(
        loss=0.178, best=0.738, policy=policies.compare_policy(LOSS, min_example_count=1000)
    ),
    "SIGNATURES_CHANGED": SimpleNamespace(loss=0.178, best=0.738, inputs={}),
    "BEST_EVALUATION_TOO_OLD": SimpleNamespace(
        loss=0.178,
        best=0.738,
        policy=policies.compare_policy(LOSS, max_best_evaluation_age_seconds=30 * DAY),
    ),
    "BEST_TOO_OLD": SimpleNamespace(
        loss=0.741,
        best=0.738,
        policy=policies.compare_policy(LOSS, max_best_age_seconds=30 * DAY, old_best_margin=0.005),
    ),
    "OLDER_DATA": SimpleNamespace(loss=0.178, best=0.738, span=8),
    "CHALLENGER_BETTER": SimpleNamespace(
        loss=0.733, best=0.738, policy=CHALLENGED, contest=contest(challenger=0.725)
    ),
    "KEPT_AS_CHALLENGER": SimpleNamespace(
        loss=0.733, best=0.738, policy=CHALLENGED, contest=contest()
    ),
    "EXPORTED_RECENTLY": SimpleNamespace(
        loss=0.178,
        best=0.738,
        exported_at=31 * DAY - 7200,
        policy=policies.compare_policy(LOSS, min_seconds_between_exports=DAY),
    ),
}


def decision_of(case: SimpleNamespace) -> Decision:
    def result_of(loss: float, auc: float, span: int | None = None) -> EvalResult:
        return EvalResult(
            {
                MetricKey(name="loss"): MetricValue(
                    value=loss, standard_error=0.02, degrees_of_freedom=19
                ),
                MetricKey(name="auc"): MetricValue(value=auc),
            },
            example_count=300,
            evaluated_at=0,
            data=EvaluatedData(span=span),
        )

    def signature_of(inputs: dict[str, TensorSpec]) -> dict[str, Signature]:
        return {"serving_default": Signature(method="predict", inputs=inputs, outputs={})}

    inputs = {"x": TensorSpec(dtype="DT_FLOAT", shape=(None,))}
    best = None
    if hasattr(case, "best"):
        record = pb.ExportRecord(
            recipe=pb.Recipe(), evaluation=pb.Evaluation(data=pb.EvaluatedData(span=9))
        )
        record.exported_at.FromSeconds(0)
        best = Best(
            version=1795331909,
            digest="sha256:best",
            eval_result=None if case.best is None else result_of(case.best, 0.9),
            signatures=signature_of(inputs),
            record=record,
        )
    latest_record = pb.ExportRecord(version=1795331909)
    latest_record.exported_at.FromSeconds(getattr(case, "exported_at", 0))
    blessings = ()
    if hasattr(case, "blessing"):
        blessings = (
            Blessing(name="model_blessing", uri=BLESSING_URI, status=case.blessing, why=case.why),
        )
    proto = getattr(case, "policy", DEFAULT_COMPARE_POLICY)
    return decide(
        Observation(
            candidate=Candidate(
                digest=getattr(case, "digest", "sha256:candidate"),
                eval_result=result_of(case.loss, 0.86, getattr(case, "span", None)),
                blessings=blessings,
                signatures=signature_of(getattr(case, "inputs", inputs)),
                recipe=getattr(case, "recipe", pb.Recipe()),
            ),
            best=best,
            being_written=getattr(case, "being_written", ""),
            hold=getattr(case, "hold", None),
            rejection=getattr(case, "rejection", None),
            contest=getattr(case, "contest", None),
            latest_record=latest_record,
        ),
        policy_from_proto(proto, lambda name: min),
        31 * DAY,
    )


class Shown(str):
    """A text that the interpreter shows without quotes."""

    __repr__ = str.__str__


def example_of(
    rule: pb.MetricRule,
    candidate: Mapping[str, float | MetricValue],
    best: Mapping[str, float | MetricValue],
    slices: Mapping[str, Mapping[str, float]] | None = None,
    best_slices: Mapping[str, Mapping[str, float]] | None = None,
    *,
    difference: MetricValue | None = None,
    **kwargs: Any,
) -> Shown:
    """Decides as `decide` in the examples of docs/deciding.md; slices are countries."""

    def result_of(
        metrics: Mapping[str, float | MetricValue],
        slices: Mapping[str, Mapping[str, float]] | None = None,
        differences: Mapping[MetricKey, MetricValue] | None = None,
    ) -> EvalResult:
        values = {
            MetricKey(name=name): value
            if isinstance(value, MetricValue)
            else MetricValue(value=value)
            for name, value in metrics.items()
        }
        count = metrics.get("example_count")
        return EvalResult(
            values,
            example_count=count if isinstance(count, int) else None,
            differences=differences,
            slices={
                (("country", country),): result_of(metrics)
                for country, metrics in (slices or {}).items()
            },
        )

    key = MetricKey(name=rule.metric.name)
    candidate_result = result_of(candidate, slices, {key: difference} if difference else None)
    decision = decide(
        Observation(
            candidate=Candidate(digest="sha256:candidate", eval_result=candidate_result),
            best=Best(
                version=1,
                digest="sha256:best",
                eval_result=result_of(best, best_slices),
                basis=pb.ExportDecision.SAME_EVALUATION,
                together=candidate_result,
            ),
        ),
        policy_from_proto(policies.compare_policy(rule, **kwargs), lambda _: min),
        0.0,
    )
    return Shown(f"{pb.ExportDecision.Reason.Name(decision.reason)}: {decision.explanation}")


@pytest.mark.parametrize(
    "document",
    sorted({block.document for block in BLOCKS if block.language == "pycon"}),
    ids=name_of,
)
def test_worked_examples(document: Path):
    text = "\n".join(
        block.text for block in BLOCKS if block.document == document and block.language == "pycon"
    )
    names = {name: value for name, value in vars(policies).items() if not name.startswith("_")}
    names |= {"decide": example_of, "estimate": estimate, **worked_challengers.NAMES}
    example = doctest.DocTestParser().get_doctest(text, names, name_of(document), None, None)
    found: list[tuple[str, str]] = []

    class Runner(doctest.DocTestRunner):
        def report_failure(self, out: Any, test: Any, example: doctest.Example, got: str) -> None:
            found.append((example.want, got))

    problems: list[str] = []
    results = Runner().run(example, out=problems.append)
    assert results.attempted > 0
    assert not problems
    for want, got in found:
        examples.compare(document, want, got)


def test_reasons_are_those_of_the_gates_in_their_order():
    names = [pb.ExportDecision.Reason.Name(each) for gate in GATES for each in gate.reasons]
    assert sorted(names) == sorted(pb.ExportDecision.Reason.keys()[1:])
    rows = rows_of(section_of(DECIDING, "Reasons"))
    assert [row[0].strip("`") for row in rows] == names


def test_the_list_has_the_gates_in_their_order():
    page = DECIDING.read_text(encoding="utf-8")
    lines = re.findall(r"^\d+\. (.*)$", page[: page.index("## Reasons")], re.MULTILINE)
    assert lines == [gate.decide.__doc__ for gate in GATES]


@pytest.mark.parametrize("row", rows_of(section_of(DECIDING, "Reasons")), ids=lambda row: row[0])
def test_example_sentences_are_the_ones_that_are_written(row: list[str]):
    name, exported, sentence = row
    decision = decision_of(CASES[name.strip("`")])
    assert pb.ExportDecision.Reason.Name(decision.reason) == name.strip("`")
    examples.compare(DECIDING, f"| {sentence} |", f"| {decision.explanation} |")
    assert (
        exported
        == {
            True: "yes",
            False: "served already" if name == "`ALREADY_BEST`" else "no",
        }[decision.is_export]
    )


# Values for the example messages, by document: the loss of the candidate and of the best.
EXAMPLE_METRICS = {README: (0.946436, 0.737837), FILES: (0.047617, 0.17793)}


@pytest.mark.parametrize("document", EXAMPLE_METRICS, ids=name_of)
def test_the_texts_of_example_messages_are_those_of_the_code(document: Path):
    (block,) = (each for each in BLOCKS if each.document == document and each.language == "json")
    message = pb.ExportRecord() if document == FILES else pb.ExportDecision()
    json_format.Parse(block.text, message)
    decision = message.decision if isinstance(message, pb.ExportRecord) else message
    candidate, best = ({"loss": value} for value in EXAMPLE_METRICS[document])
    decided = decide_by(DEFAULT_COMPARE_POLICY, candidate, best)
    assert decided.reason == decision.reason
    decision.explanation = decided.explanation
    for kept in decision.kept:
        kept.why = why_the_best_is_kept(kept.version)
    examples.compare(document, block.text, examples.with_texts_of(block.text, message))


def why_the_best_is_kept(version: int) -> str:
    export = retention.RetainedExport(version=version, is_foreign=False, exported_at=0.0)
    plan = retention.plan([export], best_version=version, policy=None, now=0.0)
    return plan.keep[0].why


@pytest.mark.slow
def test_files_are_where_the_page_says(workdir: Path):
    evaluation_path = write_evaluation(workdir / "evaluation", {"loss": 0.3})
    exporter = ModelExporter(str(workdir / "base"), exports_to_keep=1)
    retired, current = "", ""
    for model, loss in (("worse", 0.3), ("candidate", 0.2)):
        result = EvalResult(
            EvalResult.from_mapping({"loss": loss}).metrics,
            uri=str(evaluation_path),
            source=pb.Evaluation.TFMA,
        )
        retired, current = current, Path(exporter.export(f"models/{model}", result) or "").name
    # A file that has just been written gets its stamp in the next run.
    time.sleep(0.1)
    exporter.export("models/candidate", {"loss": 0.2})
    lines = re.findall(r"^    <base>/(\S+)  +\S", FILES.read_text(), re.MULTILINE)
    of_others = [line for line in lines if re.search("/(withdrawn|awaiting|challengers)/", line)]
    assert len(lines) == 14
    assert len(of_others) == 3
    for line in sorted({*lines} - {*of_others}):
        version = retired if line.startswith(".best_exporter/retired/") else current
        path = workdir / "base" / line.replace("<version>", version)
        assert path.is_dir() if line.endswith("/") else path.is_file(), line


# --- links, names and paths --------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path):
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        url = urlsplit(target)
        if url.scheme:
            assert url.hostname in HOSTS, target
            continue
        path = (document.parent / url.path).resolve() if url.path else document
        assert path.is_file(), target
        if path.suffix != ".md":
            assert not url.fragment, target
            continue
        headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}
        assert not url.fragment or url.fragment in anchors, target


@pytest.mark.parametrize("image", sorted((ROOT / "docs").glob("*.png")), ids=name_of)
def test_pictures_are_small(image: Path):
    content = image.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(content) <= 300 * 1024
    assert any(f"({name_of(image)})" in each.read_text(encoding="utf-8") for each in DOCUMENTS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_no_host_but_the_known_ones(document: Path):
    text = document.read_text(encoding="utf-8")
    urls = [urlsplit(url) for url in re.findall(r"\w+://[^\s)`]+", text)]
    schemes = ("gs", "s3", "minio", "memory")
    buckets = {url.hostname for url in urls if url.scheme in schemes}
    assert buckets <= EXAMPLE_ROOTS
    assert {url.hostname for url in urls if url.scheme not in schemes} <= HOSTS


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_absolute_paths_are_those_of_examples(document: Path):
    text = re.sub(r"\w+://\S+", "", document.read_text(encoding="utf-8"))
    assert set(re.findall(r"(?<![\w.>*/:?~-])[/~]/?([A-Za-z_][\w.-]*)/", text)) <= EXAMPLE_ROOTS


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_make_targets_exist(document: Path):
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    text = document.read_text(encoding="utf-8")
    named = re.findall(r"(?:`|^    )make ([a-z0-9-]+)", text, re.MULTILINE)
    assert set(named) <= set(targets)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_source_files_that_are_named_exist(document: Path):
    text = document.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:component|executor|pipelines|proto|tests|docs)/[\w./-]*)`", text))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_decisions_are_numbered_and_have_three_parts():
    documents = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    for number, document in zip(itertools.count(1), documents, strict=False):
        text = document.read_text(encoding="utf-8")
        assert re.fullmatch(rf"{number:04d}-[a-z0-9-]+\.md", document.name)
        assert text.startswith(f"# {number}. ")
        headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequence"], document.name


def test_documents_are_found():
    assert {README, DECIDING, FILES, FROM_ESTIMATOR, FROM_PUSHER, ROOT / "SECURITY.md"} <= set(
        DOCUMENTS
    )
    assert len(BLOCKS) >= 12
