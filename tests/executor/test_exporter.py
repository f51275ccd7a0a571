import errno
import logging
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from tests.conftest import WriteModel
from tests.errors import about, check_text, elsewhere
from tests.executor.bucket import Bucket
from tests.executor.plain import FILES, later, read_files, write_files
from tests.faults.storages import Step, SteppedStorage
from tfx_best_exporter.executor import policies
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MissingMetricError
from tfx_best_exporter.executor.deciding.models import Blessing, BlessingStatus
from tfx_best_exporter.executor.evaluations import tfma
from tfx_best_exporter.executor.exporter import ForeignBest, ModelExporter
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import RECORD_PATH, RecordError
from tfx_best_exporter.executor.exports.saved_model import InvalidModelError
from tfx_best_exporter.executor.operating.operation import OperationError
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import LeaseLostError
from tfx_best_exporter.proto import best_exporter_pb2 as pb

R = pb.ExportDecision
BLESSED = Blessing(name="model_blessing", uri="/5", status=BlessingStatus.BLESSED)
NOT_BLESSED = Blessing(name="model_blessing", uri="/5", status=BlessingStatus.NOT_BLESSED)


class Clock:
    """Seconds since the epoch; each reading is one second later."""

    def __init__(self, now: float = 1000.0):
        self.now = now

    def __call__(self) -> float:
        self.now += 1
        return self.now - 1


@pytest.fixture
def base_path(tmp_path: Path) -> Path:
    return tmp_path / "base"


@pytest.fixture
def new_exporter(base_path: Path) -> Callable[..., ModelExporter]:
    """Returns a function that creates an exporter as after a restart, with the same clock."""
    clock = Clock()

    def new(**kwargs: Any) -> ModelExporter:
        kwargs.setdefault("clock", clock)
        return ModelExporter(str(base_path), **kwargs)

    return new


@pytest.fixture
def model(tmp_path: Path, write_model: WriteModel) -> Callable[[float], Path]:
    """Returns a function that returns the path of a model with a scale."""

    def model_of(scale: float) -> Path:
        path = tmp_path / "models" / str(scale)
        return path if path.exists() else write_model(path, scale=scale)

    return model_of


NewExporter = Callable[..., ModelExporter]
Model = Callable[[float], Path]


def versions_of(base_path: Path) -> list[int]:
    return [export.version for export in ExportDirectory(location_of(base_path)).exports()]


def record_of(path: str | Path | None) -> pb.ExportRecord:
    assert path is not None
    exports = ExportDirectory(location_of(Path(path).parent))
    (export,) = (each for each in exports.exports() if each.path == str(path))
    return exports.record(export)


def serve(path: str | Path | None, signature: str = "serving_default") -> dict[str, Any]:
    import tensorflow as tf

    outputs = tf.saved_model.load(str(path)).signatures[signature](x=tf.constant([2.0]))
    return {name: value.numpy().tolist() for name, value in outputs.items()}


# Arguments.


BOTH = elsewhere("compare_fn", "both")
AUC = pb.MetricRule(metric=pb.MetricKey(name="auc"), direction=pb.HIGHER_IS_BETTER)


def other_names(best, current):
    return True


def larger_auc(best_eval_result, current_eval_result):
    return current_eval_result["auc"] > best_eval_result["auc"]


def swapped_larger_auc(current_eval_result, best_eval_result):
    return current_eval_result["auc"] > best_eval_result["auc"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        pytest.param(
            {"base_directory": "~/serving"},
            ValueError,
            elsewhere("base_directory", "'~/serving'"),
            id="a home directory",
        ),
        pytest.param(
            {"base_directory": ""},
            TypeError,
            "base_directory must be a path or a URI (got '')."
            " Pass the directory that the model server polls.",
            id="no base directory",
        ),
        pytest.param(
            {"base_directory": None},
            TypeError,
            "base_directory must be a path or a URI (got None)."
            " Pass the directory that the model server polls.",
            id="base directory of another type",
        ),
        pytest.param(
            {"name": ""},
            ValueError,
            "name must be a non-empty string (got ''). Records show it as the exporter.",
            id="empty name",
        ),
        pytest.param(
            {"as_text": 1},
            TypeError,
            "as_text must be True or False (got 1). Use True to write saved_model.pbtxt.",
            id="as_text",
        ),
        pytest.param(
            {"serving_signatures_fn": {"a": 1}},
            TypeError,
            "serving_signatures_fn must be a function (got {'a': 1})."
            " Pass a function of the loaded model that returns signature name -> tf.function.",
            id="serving_signatures_fn",
        ),
        pytest.param(
            {"compare_fn": 3},
            TypeError,
            "compare_fn must be a function or its dotted name (got 3)."
            " It takes best_eval_result and current_eval_result and returns a bool.",
            id="compare_fn of another type",
        ),
        pytest.param(
            {"compare_fn": larger_auc, "compare_policy": pb.ComparePolicy()},
            ValueError,
            BOTH,
            id="both",
        ),
        pytest.param(
            {"compare_fn": larger_auc, "compare_policy": {"compare_fn": "a.b"}},
            ValueError,
            BOTH,
            id="both, one as a dict",
        ),
    ],
)
def test_arguments_are_refused(
    base_path: Path,
    arguments: dict[str, Any],
    error: type[Exception],
    message: str | re.Pattern[str],
):
    all_arguments: dict[str, Any] = {"base_directory": str(base_path), **arguments}
    with pytest.raises(error) as caught:
        ModelExporter(**all_arguments)
    check_text(caught.value, message)
    assert not base_path.exists()


@pytest.mark.parametrize(
    ("arguments", "error", "field", "got"),
    [
        pytest.param({"base_directory": "gs://"}, ValueError, "URI", "'gs://'", id="no bucket"),
        pytest.param(
            {"base_directory": "file://serving/penguin"},
            ValueError,
            "URI",
            "'file://serving/penguin'",
            id="another machine",
        ),
        pytest.param(
            {"assets_extra": {"../x": "/a"}},
            ValueError,
            "assets_extra",
            "'../x'",
            id="assets_extra",
        ),
        pytest.param(
            {"compare_fn": other_names},
            ValueError,
            "compare_fn",
            "other_names(best, current)",
            id="compare_fn with other arguments",
        ),
        pytest.param(
            {"compare_fn": "math.sqrt"},
            ValueError,
            "compare_fn",
            "math.sqrt(x, /)",
            id="name of a function with other arguments",
        ),
        pytest.param(
            {"compare_fn": "no_such.function"},
            ValueError,
            "compare_fn",
            "'no_such.function': No module named 'no_such'",
            id="name of nothing",
        ),
        pytest.param(
            {"compare_policy": {"compare_fn": "no_such.function"}},
            ValueError,
            "compare_policy.compare_fn",
            "'no_such.function': No module named 'no_such'",
            id="name of nothing in a policy",
        ),
        pytest.param(
            {"compare_policy": pb.ComparePolicy()},
            ValueError,
            "compare_policy",
            "none",
            id="empty policy",
        ),
        *(
            pytest.param(
                {"compare_policy": policy}, TypeError, "compare_policy", got, id=f"policy is {got}"
            )
            for policy, got in ((AUC, "MetricRule"), ("auc", "'auc'"), (3, "3"))
        ),
        pytest.param(
            {"compare_policy": {"metric": {"min_change": 1}}},
            ValueError,
            "compare_policy.metric",
            "'min_change'",
            id="policy with an unknown field",
        ),
        pytest.param(
            {"compare_policy": {"compare_fn": "a.b", "min_example_count": 10**400}},
            ValueError,
            "compare_policy",
            f"{{'compare_fn': 'a.b', 'min_example_count': {10**400}}}",
            id="policy with a number that no float can hold",
        ),
        pytest.param(
            {"retention_policy": 5},
            TypeError,
            "retention_policy",
            "5",
            id="retention_policy is a number",
        ),
        pytest.param(
            {"retention_policy": {}},
            ValueError,
            "retention_policy",
            "none",
            id="retention_policy is empty",
        ),
        *(
            pytest.param(
                {"exports_to_keep": value, "retention_policy": {"keep_latest": 2}},
                ValueError,
                "exports_to_keep",
                str(value),
                id=f"exports_to_keep {value} and retention_policy",
            )
            for value in (3, 5, None)
        ),
        *(
            pytest.param(
                {**by, "retention_policy": {"keep_best": 2}},
                ValueError,
                "retention_policy.keep_best",
                f"the compare function {name!r}",
                id=f"keep_best by {name}",
            )
            for by, name in (
                ({"compare_fn": larger_auc}, "larger_auc"),
                ({"compare_fn": f"{__name__}.larger_auc"}, f"{__name__}.larger_auc"),
                (
                    {"compare_policy": {"compare_fn": f"{__name__}.larger_auc"}},
                    f"{__name__}.larger_auc",
                ),
            )
        ),
        *(
            pytest.param(
                {"exports_to_keep": value},
                error,
                "exports_to_keep",
                repr(value),
                id=f"exports_to_keep {value!r}",
            )
            for value, error in (
                (0, ValueError),
                (-1, ValueError),
                (True, TypeError),
                (2.0, TypeError),
                ("5", TypeError),
            )
        ),
    ],
)
def test_arguments_that_other_modules_refuse(
    base_path: Path, arguments: dict[str, Any], error: type[Exception], field: str, got: str
):
    all_arguments: dict[str, Any] = {"base_directory": str(base_path), **arguments}
    with pytest.raises(error, match=about(field, got)):
        ModelExporter(**all_arguments)
    assert not base_path.exists()


# Exports of better candidates only.


def test_export_returns_the_path_or_none(new_exporter: NewExporter, model: Model, base_path: Path):
    exporter = new_exporter()
    assert exporter.export(model(1.0), {"loss": 0.5}) == str(base_path / "1000")
    assert exporter.export(model(2.0), {"loss": 0.6}) is None
    assert exporter.export(model(3.0), {"loss": 0.5}) is None
    assert exporter.export(str(model(4.0)), {"loss": 0.4}) == str(base_path / "1003")
    assert versions_of(base_path) == [1000, 1003]
    assert serve(base_path / "1003") == {"y": [8.0]}
    assert {
        name: content
        for name, content in read_files(base_path / "1003").items()
        if not name.startswith("assets.extra/best_exporter/")
    } == read_files(model(4.0))


def test_the_report_of_an_export(new_exporter: NewExporter, model: Model, base_path: Path):
    exporter = new_exporter(name="penguins")
    exporter.export(model(1.0), {"loss": 0.5})
    provenance = pb.Provenance(pipeline_name="p", run_id="r", node_id="n")
    report = exporter.run(
        model(2.0),
        {"loss": 0.25},
        model_uri="/model/6",
        blessings=[BLESSED],
        provenance=provenance,
        warnings=["look at this"],
    )
    assert (report.exported, report.reason, report.version) == (True, R.BETTER, 1001)
    assert (report.schema_version, report.base_directory) == (1, str(base_path))
    assert report.decided_at.ToSeconds() == 1001
    assert report.candidate.uri == "/model/6"
    assert report.candidate_evaluation.metrics[0].value == 0.25
    assert (report.best.version, report.best.has_record) == (1000, True)
    assert report.best.path == str(base_path / "1000")
    assert report.best.model.uri == str(model(1.0))
    assert report.best.evaluation.metrics[0].value == 0.5
    (compared,) = report.comparisons
    assert (compared.candidate, compared.best, compared.improvement) == (0.25, 0.5, 0.25)
    assert report.warnings == ["look at this"]
    assert [(kept.version, bool(kept.why)) for kept in report.kept] == [(1000, True), (1001, True)]
    record = record_of(base_path / "1001")
    assert (record.version, record.name, exporter.name) == (1001, "penguins", "penguins")
    assert record.exported_at == report.decided_at
    assert record.model == report.candidate
    assert record.evaluation == report.candidate_evaluation
    assert record.provenance.run_id == "r"
    assert record.provenance.exporter_version
    assert record.decision.reason == R.BETTER
    assert record.decision.version == 1001


def test_the_report_of_a_refusal(new_exporter: NewExporter, model: Model):
    exporter = new_exporter()
    exporter.export(model(1.0), {"loss": 0.5})
    report = exporter.run(model(2.0), {"loss": 0.75})
    assert (report.exported, report.reason) == (False, R.NOT_BETTER)
    assert not report.HasField("version")
    (compared,) = report.comparisons
    assert (compared.candidate, compared.best, compared.improvement) == (0.75, 0.5, -0.25)
    assert report.warnings == []
    stored = json_format.MessageToDict(report.message, preserving_proto_field_name=True)
    assert (stored["exported"], "version" in stored) == (False, False)
    assert report.candidate.uri == str(model(2.0))


def test_one_line_is_logged_for_a_decision(
    new_exporter: NewExporter, model: Model, base_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "tfx_best_exporter")
    exporter = new_exporter()
    first = exporter.run(model(1.0), {"loss": 0.5}, blessings=[BLESSED])
    refused = exporter.run(model(2.0), {"loss": 0.5})
    where = f"(base directory {base_path}, version"
    assert [record.message for record in caplog.records] == [
        f"exported: FIRST_EXPORT: {first.explanation} {where} 1000)",
        f"not exported: NOT_BETTER: {refused.explanation} {where} none)",
    ]


@pytest.mark.parametrize("form", [str, Path, "file://{}".format, "{}/".format, location_of])
def test_the_base_directory_may_be_given_as(
    model: Model, base_path: Path, form: Callable[[Path], Any]
):
    exporter = ModelExporter(form(base_path), clock=lambda: 1000.0)
    assert exporter.export(model(1.0), {"loss": 0.5}) == str(base_path / "1000")
    assert exporter.run(model(1.0), {"loss": 0.5}).base_directory == str(base_path)


RESTARTED = """
import sys
from tfx_best_exporter.executor.exporter import ModelExporter
print(ModelExporter(sys.argv[1]).export(sys.argv[2], {"loss": float(sys.argv[3])}))
"""


def test_a_new_process_with_a_worse_candidate_exports_nothing(
    new_exporter: NewExporter, model: Model, base_path: Path
):
    new_exporter().export(model(1.0), {"loss": 0.5})
    command = [sys.executable, "-c", RESTARTED, str(base_path), str(model(2.0)), "0.6"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == "None\n"
    assert versions_of(base_path) == [1000]


def test_a_rerun_of_the_same_candidate_makes_no_second_version(
    new_exporter: NewExporter, model: Model, base_path: Path, tmp_path: Path
):
    path = new_exporter().export(model(1.0), {"loss": 0.5})
    copy_path = shutil.copytree(model(1.0), tmp_path / "elsewhere")
    report = new_exporter().run(copy_path, {"loss": 0.1}, pushed_model_path=tmp_path / "pushed")
    assert (report.exported, report.reason, report.version) == (False, R.ALREADY_BEST, 1000)
    assert new_exporter().export(copy_path, {"loss": 0.1}) == path
    assert versions_of(base_path) == [1000]
    assert read_files(tmp_path / "pushed") == read_files(base_path / "1000")


def test_two_exports_in_one_second_and_a_clock_that_goes_back(
    new_exporter: NewExporter, model: Model, base_path: Path
):
    for scale, now in ((1.0, 1000.0), (2.0, 1000.5), (3.0, 10.0)):
        new_exporter(clock=lambda now=now: now).export(model(scale), {"loss": -scale})
    assert versions_of(base_path) == [1000, 1001, 1002]
    assert serve(base_path / "1002") == {"y": [6.0]}


def test_nan_is_not_exported_and_does_not_poison(
    new_exporter: NewExporter, model: Model, base_path: Path
):
    assert new_exporter().export(model(1.0), {"loss": math.nan}) is None
    assert new_exporter().export(model(1.0), {"loss": 9.0}) == str(base_path / "1001")
    assert new_exporter().export(model(2.0), {"loss": math.nan}) is None
    assert versions_of(base_path) == [1001]


def test_infinity_is_kept_as_it_is(new_exporter: NewExporter, model: Model, base_path: Path):
    new_exporter().export(model(1.0), {"loss": math.inf})
    assert record_of(base_path / "1000").evaluation.metrics[0].value == math.inf
    assert new_exporter().export(model(2.0), {"loss": 5.0}) == str(base_path / "1001")


def test_a_model_that_is_not_blessed_is_not_touched(
    new_exporter: NewExporter, base_path: Path, tmp_path: Path
):
    report = new_exporter().run(tmp_path / "no model", {"loss": 1.0}, blessings=[NOT_BLESSED])
    assert (report.exported, report.reason) == (False, R.NOT_BLESSED)
    assert versions_of(base_path) == []


def test_decide_writes_nothing(new_exporter: NewExporter, model: Model, base_path: Path):
    decision = new_exporter().decide(model(1.0), {"loss": 1.0})
    assert decision.reason == R.FIRST_EXPORT
    assert not base_path.exists()
    new_exporter().export(model(1.0), {"loss": 1.0})
    before = read_files(base_path)
    assert new_exporter().decide(model(2.0), {"loss": 0.5}).reason == R.BETTER
    assert read_files(base_path) == before


# Ways to compare.


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"compare_fn": larger_auc}, id="function"),
        pytest.param({"compare_fn": swapped_larger_auc}, id="swapped arguments"),
        pytest.param(
            {
                "compare_fn": lambda best_eval_result, current_eval_result: bool(
                    current_eval_result["auc"] > best_eval_result["auc"]
                )
            },
            id="lambda",
        ),
        pytest.param({"compare_fn": f"{__name__}.larger_auc"}, id="name"),
        pytest.param(
            {"compare_policy": pb.ComparePolicy(compare_fn=f"{__name__}.swapped_larger_auc")},
            id="name in a policy",
        ),
        pytest.param({"compare_policy": pb.ComparePolicy(metric=AUC)}, id="metric"),
        pytest.param(
            {
                "compare_policy": {
                    "metric": {"metric": {"name": "auc"}, "direction": "HIGHER_IS_BETTER"}
                }
            },
            id="dict",
        ),
    ],
)
def test_ways_to_compare(
    new_exporter: NewExporter, model: Model, base_path: Path, arguments: dict[str, Any]
):
    for scale, auc in ((1.0, 0.5), (2.0, 0.4), (3.0, 0.6), (4.0, 0.6)):
        new_exporter(**arguments).export(model(scale), {"auc": auc})
    assert versions_of(base_path) == [1000, 1002]


def test_a_retention_policy_as_a_dict(new_exporter: NewExporter, model: Model, base_path: Path):
    for scale in (3.0, 2.0, 1.0):
        new_exporter(retention_policy={"keep_latest": 2}).export(model(scale), {"loss": scale})
    assert versions_of(base_path) == [1001, 1002]


def test_a_mapping_may_tell_the_number_of_examples(new_exporter: NewExporter, model: Model):
    exporter = new_exporter(
        compare_policy={
            "metric": {"metric": {"name": "auc"}, "direction": "HIGHER_IS_BETTER"},
            "min_example_count": 100,
        }
    )
    decision = exporter.run(model(1.0), {"auc": 0.5, "example_count": 99})
    assert (decision.exported, decision.reason) == (False, R.TOO_FEW_EXAMPLES)
    decision = exporter.run(model(1.0), {"auc": 0.5, "example_count": 100})
    assert decision.exported
    assert decision.candidate_evaluation.example_count == 100


def test_names_are_looked_up_by_the_caller(new_exporter: NewExporter, model: Model):
    asked = []

    def load(reference: str) -> Any:
        asked.append(reference)
        return larger_auc

    exporter = new_exporter(compare_fn="user_code.compare", load_function=load)
    assert exporter.export(model(1.0), {"auc": 1.0})
    refused = exporter.run(model(2.0), {"auc": 1.0})
    assert refused.reason == R.NOT_BETTER
    assert [(each.metric, each.candidate, each.best) for each in refused.comparisons] == [
        ("auc", 1.0, 1.0)
    ]
    assert "user_code.compare" in refused.explanation
    assert asked == ["user_code.compare"]


@pytest.mark.parametrize(
    ("compare", "error"),
    [
        pytest.param(lambda best_eval_result, current_eval_result: None, TypeError, id="None"),
        pytest.param(
            lambda best_eval_result, current_eval_result: 1 / 0, RuntimeError, id="raises"
        ),
    ],
)
def test_nothing_is_published_by_a_compare_function_that_fails(
    new_exporter: NewExporter,
    model: Model,
    base_path: Path,
    compare: Callable[..., Any],
    error: type[Exception],
):
    with pytest.raises(error, match=about("compare_fn")):
        new_exporter(compare_fn=compare).export(model(1.0), {"loss": 1.0})
    assert versions_of(base_path) == []


def test_nothing_is_published_without_the_metric(
    new_exporter: NewExporter, model: Model, base_path: Path
):
    with pytest.raises(MissingMetricError):
        new_exporter().export(model(1.0), {"auc": 1.0})
    assert versions_of(base_path) == []


@pytest.mark.parametrize("value", [{}, None, {"loss": "low"}], ids=repr)
def test_nothing_is_published_without_an_evaluation(
    new_exporter: NewExporter, model: Model, base_path: Path, value: Any
):
    with pytest.raises((TypeError, ValueError), match=r"\Aeval_result"):
        new_exporter().export(model(1.0), value)
    assert not base_path.exists()


def test_an_incomplete_model_is_refused_with_nothing_written(
    new_exporter: NewExporter, model: Model, base_path: Path
):
    (model(1.0) / "variables" / "variables.index").unlink()
    with pytest.raises(InvalidModelError):
        new_exporter().export(model(1.0), {"loss": 1.0})
    assert not base_path.exists()


# A best without a record.


def foreign_best(base_path: Path, model_path: Path, version: int = 900) -> ForeignBest:
    shutil.copytree(model_path, base_path / str(version))
    return ForeignBest(version=version, eval_result=EvalResult.from_mapping({"loss": 0.5}))


@pytest.mark.parametrize(
    ("loss", "reason"), [(0.25, R.BETTER), (0.5, R.NOT_BETTER), (0.75, R.NOT_BETTER)]
)
def test_a_foreign_best_with_a_known_evaluation(
    new_exporter: NewExporter, model: Model, base_path: Path, loss: float, reason: int
):
    known = foreign_best(base_path, model(1.0))
    before = read_files(base_path / "900")
    report = new_exporter().run(model(2.0), {"loss": loss}, foreign_best=known)
    assert report.reason == reason
    assert (report.best.version, report.best.has_record) == (900, False)
    assert report.best.evaluation.metrics[0].value == 0.5
    assert read_files(base_path / "900") == before


@pytest.mark.parametrize("is_of_another_version", [True, False])
@pytest.mark.parametrize(
    ("on_unknown_best", "reason"),
    [
        (pb.ComparePolicy.ON_UNKNOWN_BEST_UNSPECIFIED, R.BEST_UNKNOWN_KEPT),
        (pb.ComparePolicy.EXPORT, R.BEST_UNKNOWN_EXPORTED),
        (pb.ComparePolicy.KEEP, R.BEST_UNKNOWN_KEPT),
    ],
)
def test_a_foreign_best_without_a_known_evaluation(
    new_exporter: NewExporter,
    model: Model,
    base_path: Path,
    on_unknown_best: pb.ComparePolicy.OnUnknownBest,
    reason: int,
    is_of_another_version: bool,
):
    foreign_best(base_path, model(1.0))
    other = ForeignBest(version=899, eval_result=EvalResult.from_mapping({"loss": 0.1}))
    policy = pb.ComparePolicy(on_unknown_best=on_unknown_best)
    policy.metric.CopyFrom(AUC)
    policy.metric.metric.name = "loss"
    report = new_exporter(compare_policy=policy).run(
        model(2.0), {"loss": 9.0}, foreign_best=other if is_of_another_version else None
    )
    assert report.reason == reason
    assert not report.best.HasField("evaluation")
    assert any("version 900" in warning for warning in report.warnings)


def test_a_foreign_best_whose_evaluation_lacks_the_metric(
    new_exporter: NewExporter, model: Model, base_path: Path
):
    known = foreign_best(base_path, model(1.0))
    exporter = new_exporter(compare_policy=pb.ComparePolicy(metric=AUC))
    report = exporter.run(model(2.0), {"auc": 0.5}, foreign_best=known, blessings=[BLESSED])
    assert report.reason == R.BEST_UNKNOWN_KEPT
    lacks, unknown = report.warnings
    assert re.match(about("compare_policy.metric.metric.name", "'auc'"), lacks)
    assert "version 900" in unknown


def test_a_candidate_must_have_the_metric_whatever_the_best_has(
    new_exporter: NewExporter, model: Model, base_path: Path
):
    known = foreign_best(base_path, model(1.0))
    exporter = new_exporter(compare_policy=pb.ComparePolicy(metric=AUC))
    with pytest.raises(MissingMetricError):
        exporter.run(model(2.0), {"loss": 0.5}, foreign_best=known)


def test_a_candidate_that_is_the_foreign_best(
    new_exporter: NewExporter, model: Model, base_path: Path, tmp_path: Path
):
    foreign_best(base_path, model(1.0))
    report = new_exporter().run(
        model(1.0), {"loss": 9.0}, pushed_model_path=tmp_path / "pushed_model"
    )
    assert (report.reason, report.version) == (R.ALREADY_BEST, 900)
    assert read_files(tmp_path / "pushed_model") == read_files(base_path / "900")


def test_a_foreign_best_with_links_of_its_own(
    new_exporter: NewExporter, model: Model, base_path: Path, tmp_path: Path
):
    known = foreign_best(base_path, model(1.0))
    (tmp_path / "words.txt").write_text("elsewhere")
    (base_path / "900" / "assets" / "link").symlink_to(tmp_path / "words.txt")
    report = new_exporter().run(model(2.0), {"loss": 0.25}, foreign_best=known)
    assert report.reason == R.BETTER
    assert any("'assets/link'" in each for each in report.warnings)


def test_foreign_versions_are_never_retired(
    new_exporter: NewExporter, model: Model, base_path: Path
):
    known = foreign_best(base_path, model(1.0))
    foreign_best(base_path, model(1.0), version=5)
    exporter = new_exporter(exports_to_keep=1)
    for scale, loss in ((2.0, 0.4), (3.0, 0.3), (4.0, 0.2)):
        exporter.run(model(scale), {"loss": loss}, foreign_best=known)
    assert versions_of(base_path) == [5, 900, 1002]


def test_an_incomplete_newest_version_is_told(
    new_exporter: NewExporter, model: Model, base_path: Path
):
    new_exporter().export(model(1.0), {"loss": 0.5})
    (base_path / "2000").mkdir()
    (base_path / "latest").mkdir()
    report = new_exporter().run(model(2.0), {"loss": 0.4}, blessings=[BLESSED])
    assert (report.reason, report.exported) == (R.BEING_WRITTEN, False)
    assert report.best.version == 1000
    (stray,) = report.warnings
    assert "'latest'" in stray
    # An hour later nobody is copying anymore.
    exporter = ModelExporter(later(base_path), clock=Clock())
    report = exporter.run(model(2.0), {"loss": 0.4}, blessings=[BLESSED])
    assert report.version == 2001
    assert report.best.version == 1000
    stray, broken = report.warnings
    assert "version 2000" in broken


def test_best_removed_by_hand(new_exporter: NewExporter, model: Model, base_path: Path):
    for scale, loss in ((1.0, 0.5), (2.0, 0.4)):
        new_exporter().export(model(scale), {"loss": loss})
    shutil.rmtree(base_path / "1001")
    report = new_exporter().run(model(3.0), {"loss": 0.45})
    assert (report.best.version, report.version) == (1000, 1002)


def test_a_damaged_record_is_never_taken_for_no_best(
    new_exporter: NewExporter, model: Model, base_path: Path
):
    new_exporter().export(model(1.0), {"loss": 0.5})
    (base_path / "1000" / RECORD_PATH).write_text("")
    with pytest.raises(RecordError):
        new_exporter().export(model(2.0), {"loss": 0.4})
    assert versions_of(base_path) == [1000]


# Files of an export.


def test_assets_extra(new_exporter: NewExporter, model: Model, base_path: Path, tmp_path: Path):
    (tmp_path / "warmup").write_bytes(b"requests")
    assets_extra = {"tf_serving_warmup_requests": str(tmp_path / "warmup"), "a/b": __file__}
    path = new_exporter(assets_extra=assets_extra).export(model(1.0), {"loss": 0.5})
    extra_path = Path(str(path)) / "assets.extra"
    assert (extra_path / "tf_serving_warmup_requests").read_bytes() == b"requests"
    assert (extra_path / "a" / "b").read_bytes() == Path(__file__).read_bytes()
    assert not (extra_path / "a" / "b").samefile(__file__)
    assert serve(path) == {"y": [2.0]}


def test_a_missing_source_of_assets_extra_stops_before_anything_is_written(
    new_exporter: NewExporter, model: Model, base_path: Path, tmp_path: Path
):
    exporter = new_exporter(assets_extra={"a": str(tmp_path / "nothing")})
    with pytest.raises(
        ValueError, match=about("assets_extra['a']", repr(str(tmp_path / "nothing")))
    ):
        exporter.export(model(1.0), {"loss": 0.5})
    assert not base_path.exists()


def test_as_text(new_exporter: NewExporter, model: Model):
    path = Path(str(new_exporter(as_text=True).export(model(3.0), {"loss": 0.5})))
    assert (path / "saved_model.pbtxt").exists()
    assert not (path / "saved_model.pb").exists()
    assert serve(path) == {"y": [6.0]}
    # A candidate equals the best even if the best was saved as text.
    assert new_exporter(as_text=True).export(model(3.0), {"loss": 0.4}) == str(path)


def doubled(loaded: Any) -> dict[str, Any]:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def double(x: Any) -> Any:
        return {"z": 2.0 * loaded.scale * x}

    return {"doubled": double}


def test_serving_signatures_fn(
    new_exporter: NewExporter, model: Model, base_path: Path, tmp_path: Path
):
    exporter = new_exporter(serving_signatures_fn=doubled)
    path = exporter.export(model(3.0), {"loss": 0.5})
    assert serve(path, "doubled") == {"z": [12.0]}
    words = (model(3.0) / "assets" / "words.txt").read_bytes()
    assert (Path(str(path)) / "assets" / "words.txt").read_bytes() == words
    assert exporter.export(model(3.0), {"loss": 0.5}) == path
    assert versions_of(base_path) == [1000]


def test_everything_at_once(
    new_exporter: NewExporter, model: Model, base_path: Path, tmp_path: Path
):
    exporter = new_exporter(
        serving_signatures_fn=doubled, as_text=True, assets_extra={"source": __file__}
    )
    report = exporter.run(model(3.0), {"loss": 0.5}, pushed_model_path=tmp_path / "pushed_model")
    path = base_path / str(report.version)
    assert serve(path, "doubled") == {"z": [12.0]}
    assert read_files(tmp_path / "pushed_model") == read_files(path)
    assert record_of(path).pushed_model_uri == str(tmp_path / "pushed_model")
    served = {file.stat().st_ino for file in path.rglob("*") if file.is_file()}
    for directory in (tmp_path / "pushed_model", model(3.0)):
        assert not served & {file.stat().st_ino for file in directory.rglob("*") if file.is_file()}
    assert [entry.name for entry in (base_path / ".best_exporter" / "staging").iterdir()] == []


@pytest.mark.parametrize(
    "arguments", [{}, {"serving_signatures_fn": doubled}], ids=["", "saved again"]
)
def test_a_candidate_that_was_an_export_gets_a_record_of_its_own(
    new_exporter: NewExporter,
    model: Model,
    base_path: Path,
    tmp_path: Path,
    arguments: dict[str, Any],
):
    path = ModelExporter(str(tmp_path / "other"), name="other").export(model(1.0), {"loss": 9.0})
    assert path is not None
    exported = new_exporter(**arguments).export(path, {"loss": 0.5})
    assert record_of(exported).name == "best_exporter"
    assert record_of(exported).model.digest == record_of(path).model.digest
    assert new_exporter(**arguments).export(model(1.0), {"loss": 0.1}) == exported


def test_the_evaluation_is_kept_with_its_slices(
    new_exporter: NewExporter,
    model: Model,
    base_path: Path,
    tmp_path: Path,
    evaluations: dict[str, Path],
):
    evaluation_path = shutil.copytree(evaluations["paired"], tmp_path / "evaluation")
    seen = []

    def compare(best_eval_result, current_eval_result):
        seen.append(best_eval_result.slices[("species", "b"),]["binary_accuracy"])
        return current_eval_result["binary_accuracy"] > best_eval_result["binary_accuracy"]

    path = new_exporter(compare_fn=compare).export(model(1.0), tfma.from_tfma(evaluation_path))
    kept_path = Path(str(path)) / "assets.extra" / "best_exporter" / "evaluation"
    assert read_files(kept_path) == {
        each.name: Path(each.path).read_bytes()
        for each in tfma.tfma_files_of(location_of(evaluation_path))
    }
    shutil.rmtree(evaluation_path)
    candidate = tfma.from_tfma(evaluations["paired"])
    report = new_exporter(compare_fn=compare).run(model(2.0), candidate)
    assert report.reason == R.NOT_BETTER
    assert seen == [0.5, 0.5]
    assert record_of(path).evaluation.uri == str(evaluation_path)


def test_a_best_without_slices_has_none(new_exporter: NewExporter, model: Model):
    def compare(best_eval_result, current_eval_result):
        return not best_eval_result.slices and not current_eval_result.slices

    assert new_exporter(compare_fn=compare).export(model(1.0), {"loss": 1.0})
    assert new_exporter(compare_fn=compare).export(model(2.0), {"loss": 1.0})


# Verifying.


def test_verify(new_exporter: NewExporter, model: Model, base_path: Path):
    exporter = new_exporter(assets_extra={"source": __file__})
    exporter.export(model(1.0), {"loss": 0.5})
    assert exporter.verify(1000) == []
    (base_path / "1000" / "assets.extra" / "source").write_bytes(b"")
    (problem,) = exporter.verify(1000)
    assert problem.startswith("assets.extra/source ")
    assert "00000000" in problem


def test_verify_takes_a_text(new_exporter: NewExporter, model: Model):
    new_exporter().export(model(1.0), {"loss": 0.5})
    assert new_exporter().verify("1000") == []


@pytest.mark.parametrize("version", [999, -1, "latest"])
def test_verify_of_no_version(new_exporter: NewExporter, model: Model, version: int | str):
    new_exporter().export(model(1.0), {"loss": 0.5})
    with pytest.raises(OperationError, match=r"^version must be "):
        new_exporter().verify(version)


def test_a_mistyped_base_directory_is_not_created(new_exporter: NewExporter, base_path: Path):
    for operation in (
        lambda exporter: exporter.verify(1),
        lambda exporter: exporter.retire(),
        lambda exporter: exporter.retire(dry_run=True),
        lambda exporter: exporter.hold(reason="R"),
    ):
        with pytest.raises(OperationError, match=r"^base directory must exist"):
            operation(new_exporter())
        assert not base_path.exists()


def test_verify_of_a_foreign_version(new_exporter: NewExporter, model: Model, base_path: Path):
    foreign_best(base_path, model(1.0))
    with pytest.raises(RecordError, match=r"record\.json: "):
        new_exporter().verify(900)


# Retiring.


def not_deleted(version: int, problem: str) -> str:
    return f"version {version} could not be deleted; the next run tries again: {problem}"


def export_all(exporter: ModelExporter, model: Model, *scales: float) -> pb.ExportDecision:
    """Exports models, each better than its predecessor, and returns the last report."""
    reports = [
        exporter.run(model(scale), {"loss": -scale}, blessings=[BLESSED]) for scale in scales
    ]
    return reports[-1].message


def test_exports_to_keep(new_exporter: NewExporter, model: Model, base_path: Path):
    report = export_all(new_exporter(exports_to_keep=2), model, 1.0, 2.0, 3.0)
    assert versions_of(base_path) == [1001, 1002]
    (retired,) = report.retired
    assert (retired.version, retired.error) == (1000, "")
    assert "2" in retired.why
    assert [each.version for each in report.kept] == [1001, 1002]
    tombstones = ExportDirectory(location_of(base_path)).tombstones()
    assert [(each.record.version, each.why) for each in tombstones] == [(1000, retired.why)]


def test_five_are_kept_by_default_and_all_with_none(
    new_exporter: NewExporter, model: Model, base_path: Path
):
    export_all(new_exporter(exports_to_keep=None), model, *map(float, range(1, 8)))
    assert versions_of(base_path) == list(range(1000, 1007))
    report = new_exporter().retire()
    assert versions_of(base_path) == list(range(1002, 1007))
    assert [each.version for each in report.retired] == [1000, 1001]
    assert (report.exported, report.reason) == (False, R.REASON_UNSPECIFIED)


def test_keep_lowered_takes_effect_without_an_export(
    new_exporter: NewExporter, model: Model, base_path: Path
):
    export_all(new_exporter(), model, 1.0, 2.0, 3.0)
    report = new_exporter(exports_to_keep=1).run(model(4.0), {"loss": 9.0})
    assert report.reason == R.NOT_BETTER
    assert versions_of(base_path) == [1002]


def test_retention_policy_with_ages(new_exporter: NewExporter, model: Model, base_path: Path):
    policy = pb.RetentionPolicy(keep_younger_than_seconds=100, keep_versions=[1000])
    for now, scale in ((1000, 1.0), (1010, 2.0), (1050, 3.0), (1120, 4.0)):
        exporter = new_exporter(retention_policy=policy, clock=lambda now=now: float(now))
        report = export_all(exporter, model, scale)
    assert versions_of(base_path) == [1000, 1050, 1120]
    (retired,) = report.retired
    assert retired.version == 1010
    assert "100" in retired.why
    assert "keep_versions" in retired.why


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        pytest.param(policies.smaller("loss"), 1001, id="smaller"),
        pytest.param(policies.larger("loss"), 1002, id="larger"),
        pytest.param(policies.larger("auc"), 1000, id="another metric than it was exported for"),
        pytest.param(policies.larger("recall"), 1002, id="a metric that few have, NaN"),
        pytest.param(policies.larger("absent"), 1003, id="a metric that none has: the newest"),
    ],
)
def test_keep_best(
    new_exporter: NewExporter, model: Model, base_path: Path, rule: pb.MetricRule, kept: int
):
    forced = policies.compare_policy(policies.smaller("loss"), force="all of them")
    every = new_exporter(compare_policy=forced, exports_to_keep=None)
    for scale, metrics in enumerate(
        (
            {"loss": 0.5, "auc": 0.9},
            {"loss": 0.2, "auc": 0.3},
            {"loss": 0.9, "auc": 0.4, "recall": math.nan},
            {"loss": 0.7, "auc": 0.6},
        )
    ):
        every.export(model(float(scale)), metrics)
    report = new_exporter(
        compare_policy=policies.compare_policy(rule),
        retention_policy=policies.retention_policy(keep_best=1),
    ).retire()
    assert set(versions_of(base_path)) == {kept, 1003} == {each.version for each in report.kept}
    # The last export is kept for another reason: one reason names the number of best exports.
    assert [each.version for each in report.kept if "1" in each.why] == [kept]
    assert {each.version for each in report.retired} == {1000, 1001, 1002} - {kept}
    assert all("1" in each.why for each in report.retired)


def test_keep_every(new_exporter: NewExporter, model: Model, base_path: Path):
    policy = policies.retention_policy(keep_every=100)
    for now, scale in ((1000, 1.0), (1050, 2.0), (1100, 3.0), (1190, 4.0), (1250, 5.0)):
        exporter = new_exporter(retention_policy=policy, clock=lambda now=now: float(now))
        report = export_all(exporter, model, scale)
    assert [each.version for each in report.kept] == [1000, 1100, 1250]
    assert [each.version for each in report.retired] == [1190]
    assert all("100" in each.why for each in (*report.kept, *report.retired))
    assert versions_of(base_path) == [1000, 1100, 1250]


def test_max_bytes(new_exporter: NewExporter, model: Model, base_path: Path):
    export_all(new_exporter(exports_to_keep=None), model, 1.0, 2.0, 3.0)
    write_files(base_path / "900", FILES)
    sizes = [
        sum(entry.size for entry in record_of(base_path / str(version)).manifest)
        for version in (1000, 1001, 1002)
    ]
    assert min(sizes) > 0
    report = new_exporter(retention_policy={"max_bytes": sum(sizes)}).retire()
    assert (versions_of(base_path), list(report.retired)) == ([900, 1000, 1001, 1002], [])
    report = new_exporter(retention_policy={"max_bytes": sum(sizes) - 1}).retire()
    assert versions_of(base_path) == [900, 1001, 1002]
    (retired,) = report.retired
    assert retired.version == 1000
    assert "max_bytes" in retired.why
    assert list(report.warnings) == []
    report = new_exporter(retention_policy={"max_bytes": 1}).retire()
    assert versions_of(base_path) == [900, 1002]
    (warning,) = report.warnings
    assert "retention_policy.max_bytes" in warning


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(pb.RetentionPolicy(keep_latest=1), id="by number"),
        pytest.param(pb.RetentionPolicy(keep_younger_than_seconds=1), id="by age"),
        pytest.param(pb.RetentionPolicy(keep_best=1), id="by value"),
        pytest.param(pb.RetentionPolicy(keep_every_seconds=9), id="by interval"),
        pytest.param(pb.RetentionPolicy(max_bytes=2**40), id="by size"),
    ],
)
@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        pytest.param(
            lambda path: path.write_text("{}"),
            "cannot read ",
            id="damaged",
        ),
        pytest.param(
            lambda path: (path.unlink(), path.symlink_to(path)),
            "cannot read ",
            id="unreadable",
        ),
        pytest.param(lambda path: (path.unlink(), path.mkdir()), "cannot read ", id="directory"),
        pytest.param(lambda path: (path.unlink(), os.mkfifo(path)), "cannot read ", id="pipe"),
        pytest.param(
            lambda path: (path.unlink(), path.symlink_to("nowhere")), "cannot read ", id="dangling"
        ),
    ],
)
def test_an_old_export_with_a_damaged_record_stays(
    new_exporter: NewExporter,
    model: Model,
    base_path: Path,
    policy: pb.RetentionPolicy,
    damage: Callable[[Path], Any],
    problem: str,
):
    export_all(new_exporter(), model, 1.0, 2.0)
    damage(base_path / "1000" / RECORD_PATH)
    report = new_exporter(retention_policy=policy).retire()
    assert versions_of(base_path) == [1000, 1001]
    (warning,) = report.warnings
    assert warning.startswith(f"version 1000 is kept because it cannot be read: {problem}")
    assert [each.version for each in report.kept] == [1000, 1001]
    assert not report.retired


def test_going_back_to_an_older_model_by_a_copy(
    new_exporter: NewExporter, model: Model, base_path: Path
):
    export_all(new_exporter(), model, 1.0, 2.0)
    shutil.copytree(base_path / "1000", base_path / "2000")
    report = new_exporter(exports_to_keep=1).run(model(3.0), {"loss": -0.5}, blessings=[BLESSED])
    # The copy is the best, and retention never deletes it.
    assert (report.best.version, report.reason) == (2000, R.NOT_BETTER)
    assert report.best.evaluation.metrics[0].value == -1.0
    assert [each.version for each in report.kept] == [1001, 2000]
    assert versions_of(base_path) == [1001, 2000]
    report = new_exporter(exports_to_keep=1).run(model(4.0), {"loss": -4.0}, blessings=[BLESSED])
    assert report.version == 2001
    assert versions_of(base_path) == [2000, 2001]


def test_an_incomplete_export_is_not_among_those_to_keep(
    new_exporter: NewExporter, model: Model, base_path: Path
):
    export_all(new_exporter(), model, 1.0, 2.0, 3.0, 4.0)
    (base_path / "1002" / "variables" / "variables.index").unlink()
    report = new_exporter(exports_to_keep=2).retire()
    # The changed export is no way back, and a person may want to repair it.
    assert [each.version for each in report.kept] == [1001, 1002, 1003]
    assert [each.version for each in report.retired] == [1000]


def test_the_candidate_must_not_change_while_it_is_exported(
    new_exporter: NewExporter, model: Model, base_path: Path
):
    def train_on(loaded: Any) -> dict[str, Any]:
        (model(1.0) / "assets" / "words.txt").write_text("other words")
        return doubled(loaded)

    with pytest.raises(ValueError, match=str(model(1.0))):
        new_exporter(serving_signatures_fn=train_on).export(model(1.0), {"loss": 0.5})
    assert versions_of(base_path) == []


def test_a_retirement_that_fails_is_told_and_tried_again(
    new_exporter: NewExporter, model: Model, base_path: Path
):
    def fail(step: Step) -> None:
        if "/trash/" in step.path and step.name == "rename":
            raise OSError(errno.EXDEV, "Invalid cross-device link")

    export_all(new_exporter(), model, 1.0)
    disk = SteppedStorage(LocalStorage(), before=fail)
    exporter = ModelExporter(
        Location(disk, str(base_path)), exports_to_keep=1, clock=lambda: 1001.0
    )
    report = export_all(exporter, model, 2.0)
    assert (report.exported, report.version) == (True, 1001)
    (retired,) = report.retired
    assert retired.version == 1000
    assert "cross-device" in retired.error
    assert report.warnings == [not_deleted(1000, retired.error)]
    assert versions_of(base_path) == [1000, 1001]
    report = new_exporter(exports_to_keep=1).retire()
    assert [(each.version, each.error) for each in report.retired] == [(1000, "")]
    assert versions_of(base_path) == [1001]


def test_what_a_dead_run_left_is_told(new_exporter: NewExporter, model: Model, base_path: Path):
    write_files(base_path / ".best_exporter" / "staging" / "abc", FILES)
    report = new_exporter().run(model(1.0), {"loss": 1.0}, blessings=[BLESSED])
    (warning,) = report.warnings
    assert "abc" in warning
    assert "staging" in warning


def test_nothing_is_left_where_publishing_fails(
    new_exporter: NewExporter, model: Model, base_path: Path
):
    def fail(loaded: Any) -> dict[str, Any]:
        raise KeyError("no such output")

    new_exporter().export(model(1.0), {"loss": 1.0})
    with pytest.raises(RuntimeError):
        new_exporter(serving_signatures_fn=fail).export(model(2.0), {"loss": 0.5})
    assert versions_of(base_path) == [1000]
    assert list((base_path / ".best_exporter" / "staging").iterdir()) == []
    assert new_exporter().export(model(2.0), {"loss": 0.5}) == str(base_path / "1002")


# In an object store.


def test_an_object_store(model: Model, tmp_path: Path):
    bucket = Bucket(tmp_path)
    clock = Clock()

    def new() -> ModelExporter:
        return ModelExporter(bucket.location("base"), exports_to_keep=2, clock=clock)

    pushed_model_path = tmp_path / "pushed_model"
    for scale in (1.0, 2.0, 3.0):
        report = new().run(
            model(scale), {"loss": -scale}, blessings=[BLESSED], pushed_model_path=pushed_model_path
        )
        assert report.warnings == []
    assert new().export(model(4.0), {"loss": 9.0}) is None
    assert new().export(model(3.0), {"loss": 9.0}) == "bucket://base/1002"
    assert report.base_directory == "bucket://base"
    assert report.best.path == "bucket://base/1001"
    assert [(each.version, each.error) for each in report.retired] == [(1000, "")]
    assert read_files(pushed_model_path) == read_files(tmp_path / "base" / "1002")
    assert serve(tmp_path / "base" / "1002") == {"y": [6.0]}
    assert new().verify(1002) == []
    left = sorted(read_files(tmp_path / "base" / ".best_exporter"))
    assert left[:3] == ["decisions.jsonl", "largest_version", "retired/1000.json"]
    assert all(name.startswith("stamps/") for name in left[3:])
    assert not (tmp_path / "base" / "1000" / "saved_model.pb").exists()


def test_who_loses_the_lock_decides_again(
    model: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING, "tfx_best_exporter")
    bucket = Bucket(tmp_path)
    clock = Clock()

    def take_over(step: str) -> None:
        if step.endswith("/variables/variables.index"):
            bucket.before = lambda step: None
            other = ModelExporter(bucket.location("base"), clock=clock)
            assert other.export(model(2.0), {"loss": 0.5})

    bucket.before = take_over
    exporter = ModelExporter(bucket.location("base"), clock=clock)
    report = exporter.run(model(1.0), {"loss": 0.75}, blessings=[BLESSED])
    assert (report.reason, report.exported, report.best.version) == (R.NOT_BETTER, False, 1001)
    assert serve(tmp_path / "base" / "1001") == {"y": [4.0]}
    assert "lost the lock of bucket://base; the run starts again" in caplog.messages


def test_who_loses_the_lock_again_and_again_fails(model: Model, tmp_path: Path):
    bucket = Bucket(tmp_path)
    attempts = []

    def lose(step: str) -> None:
        if step.endswith("/claim.json") and step.startswith("write "):
            attempts.append(step)
            bucket.lease = None

    bucket.before = lose
    with pytest.raises(LeaseLostError):
        ModelExporter(bucket.location("base")).export(model(1.0), {"loss": 1.0})
    assert len(attempts) == 5
    assert [*read_files(tmp_path / "base")] == [".best_exporter/largest_version"]


def test_an_export_counts_though_the_lock_is_lost_when_it_retires(model: Model, tmp_path: Path):
    bucket = Bucket(tmp_path)
    clock = Clock()
    exporter = ModelExporter(bucket.location("base"), exports_to_keep=1, clock=clock)
    exporter.export(model(1.0), {"loss": 1.0})

    def lose(step: str) -> None:
        if step == "copy base/1001/saved_model.pb":
            bucket.lease = None

    bucket.before = lose
    report = exporter.run(model(2.0), {"loss": 0.5})
    assert (report.exported, report.version) == (True, 1001)
    (retired,) = report.retired
    assert retired.version == 1000
    assert "lock" in retired.error
    assert report.warnings == [
        not_deleted(1000, retired.error),
        "the decision log was not written: another writer has the lock",
    ]
    bucket.before = lambda step: None
    assert [each.error for each in exporter.retire().retired] == [""]
