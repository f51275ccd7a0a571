import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import pytest

from tests.errors import check_text, elsewhere
from tfx_best_exporter.executor.deciding.eval_result import (
    EvalResult,
    EvaluatedData,
    MetricKey,
    MetricValue,
    MissingMetricError,
    Provenance,
    SliceKey,
)
from tfx_best_exporter.executor.deciding.metric_source import Metrics
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def result_of(*keys: MetricKey, model_name: str = "") -> EvalResult:
    metrics = {key: MetricValue(value=float(index)) for index, key in enumerate(keys)}
    return EvalResult(metrics, uri="/evaluation/4", model_name=model_name)


@pytest.mark.parametrize(
    ("keys", "model_name", "wanted", "expected"),
    [
        pytest.param([MetricKey(name="auc")], "", MetricKey(name="auc"), 0, id="the same key"),
        pytest.param([MetricKey(name="auc")], "", MetricKey(name="loss"), None, id="another name"),
        pytest.param(
            [MetricKey(name="auc")],
            "",
            MetricKey(name="auc", model_name="candidate"),
            0,
            id="the trained model is the candidate",
        ),
        pytest.param(
            [MetricKey(name="auc")],
            "mine",
            MetricKey(name="auc", model_name="mine"),
            0,
            id="the trained model by its own name",
        ),
        pytest.param(
            [MetricKey(name="auc")],
            "mine",
            MetricKey(name="auc", model_name="other"),
            None,
            id="another model",
        ),
        pytest.param(
            [MetricKey(name="auc", model_name="a"), MetricKey(name="auc", model_name="b")],
            "",
            MetricKey(name="auc", model_name="b"),
            1,
            id="one of two models",
        ),
        pytest.param(
            [MetricKey(name="auc", output_name="a"), MetricKey(name="auc", output_name="b")],
            "",
            MetricKey(name="auc", output_name="b"),
            1,
            id="one of two outputs",
        ),
        pytest.param(
            [MetricKey(name="auc", output_name="a")],
            "",
            MetricKey(name="auc"),
            None,
            id="an output is never guessed",
        ),
        pytest.param(
            [MetricKey(name="auc", sub_key=("k", 1)), MetricKey(name="auc", sub_key=("k", 2))],
            "",
            MetricKey(name="auc", sub_key=("k", 2)),
            1,
            id="one of two sub keys",
        ),
        pytest.param(
            [MetricKey(name="auc"), MetricKey(name="auc", aggregation="MACRO_AVERAGE")],
            "",
            MetricKey(name="auc", aggregation="MACRO_AVERAGE"),
            1,
            id="an aggregation",
        ),
        pytest.param(
            [MetricKey(name="auc", example_weighted=flag) for flag in (True, False)],
            "",
            MetricKey(name="auc", example_weighted=False),
            1,
            id="unweighted of both",
        ),
        pytest.param(
            [MetricKey(name="auc", example_weighted=flag) for flag in (True, False)],
            "",
            MetricKey(name="auc"),
            None,
            id="one of both is never guessed",
        ),
        pytest.param(
            [MetricKey(name="auc", example_weighted=flag) for flag in (False, None)],
            "",
            MetricKey(name="auc"),
            1,
            id="without the flag before one with it",
        ),
        pytest.param(
            [MetricKey(name="auc", example_weighted=flag) for flag in (False, None)],
            "",
            MetricKey(name="auc", example_weighted=False),
            0,
            id="with the flag before one without it",
        ),
    ],
)
def test_find(keys: list[MetricKey], model_name: str, wanted: MetricKey, expected: float | None):
    found = result_of(*keys, model_name=model_name).find(wanted)
    assert (found and found.value) == expected


def test_is_a_read_only_mapping_by_name():
    result = EvalResult.from_mapping({"loss": 1, "auc": 0.5})
    assert dict(result) == {"loss": 1.0, "auc": 0.5}
    assert len(result) == 2
    assert "loss" in result
    assert "acc" not in result
    assert result.get("acc") is None
    assert not hasattr(result, "__setitem__")
    with pytest.raises(TypeError):
        result.metrics[MetricKey(name="loss")] = MetricValue(value=0.0)  # type: ignore[index]
    assert repr(result) == "EvalResult({'loss': 1.0, 'auc': 0.5}, uri='')"


USE_ANOTHER = "Use one of these, or add it to Evaluator's EvalConfig."


def no_metric(field: str, got: str, found: str, remedy: str = USE_ANOTHER) -> str:
    return f"{field} must be a metric of the evaluation (got {got}). Found: {found}. {remedy}"


def select(parts: str) -> str:
    return f"Set {parts} in addition to name, to select one of these."


@pytest.mark.parametrize(
    ("result", "message"),
    [
        pytest.param(
            result_of(MetricKey(name="loss"), MetricKey(name="auc")),
            no_metric("metric name", "'AUC', at /evaluation/4", "auc, loss"),
            id="with a place",
        ),
        pytest.param(
            EvalResult({}),
            no_metric("metric name", "'AUC'", "none"),
            id="empty",
        ),
    ],
)
def test_a_missing_metric_lists_the_existing_ones(result: EvalResult, message: str):
    with pytest.raises(MissingMetricError) as caught:
        result["AUC"]
    assert str(caught.value) == message
    assert isinstance(caught.value, KeyError)


@pytest.mark.parametrize(
    ("keys", "wanted", "found", "remedy"),
    [
        pytest.param(
            [MetricKey(name="auc", example_weighted=flag) for flag in (True, False)],
            MetricKey(name="auc"),
            "auc[unweighted], auc[weighted]",
            select("example_weighted"),
            id="weighted and unweighted",
        ),
        pytest.param(
            [
                MetricKey(name="auc", output_name="click", example_weighted=flag)
                for flag in (True, False)
            ],
            MetricKey(name="auc", output_name="click"),
            "click/auc[unweighted], click/auc[weighted]",
            select("example_weighted"),
            id="weighted and unweighted of an output",
        ),
        pytest.param(
            [MetricKey(name="auc", output_name="click"), MetricKey(name="loss")],
            MetricKey(name="auc"),
            "click/auc, loss",
            select("output_name"),
            id="of an output",
        ),
        pytest.param(
            [MetricKey(name="auc", model_name=name) for name in ("a", "b")],
            MetricKey(name="auc"),
            "a:auc, b:auc",
            select("model_name"),
            id="of two models",
        ),
        pytest.param(
            [
                MetricKey(name="auc", model_name="a", output_name="click"),
                MetricKey(name="auc", model_name="b", output_name="buy"),
            ],
            MetricKey(name="auc", model_name="a"),
            "a:click/auc, b:buy/auc",
            select("output_name"),
            id="of an output of a named model",
        ),
        pytest.param(
            [
                MetricKey(name="precision", output_name="click", sub_key=("top_k", 5)),
                MetricKey(name="precision", output_name="buy", aggregation="MICRO_AVERAGE"),
            ],
            MetricKey(name="precision", output_name="click"),
            "buy/precision[micro_average], click/precision[top_k=5]",
            select("sub_key (class_id, k or top_k)"),
            id="of a part of a named output",
        ),
        pytest.param(
            [MetricKey(name="auc"), MetricKey(name="loss", output_name="click")],
            MetricKey(name="auc", output_name="click", example_weighted=True),
            "auc, click/loss",
            "Leave out output_name and example_weighted, to select one of these.",
            id="of no output",
        ),
        pytest.param(
            [MetricKey(name="auc", output_name="click")],
            MetricKey(name="auc", output_name="buy"),
            "click/auc",
            USE_ANOTHER,
            id="of another output",
        ),
        pytest.param(
            [
                MetricKey(name="recall", sub_key=("top_k", 3)),
                MetricKey(name="recall", aggregation="MICRO_AVERAGE"),
            ],
            MetricKey(name="recall"),
            "recall[micro_average], recall[top_k=3]",
            select("sub_key (class_id, k or top_k) and aggregation"),
            id="of a part, or averaged",
        ),
        pytest.param(
            [MetricKey(name="auc", example_weighted=flag) for flag in (True, False)],
            MetricKey(name="loss"),
            "auc[unweighted], auc[weighted]",
            USE_ANOTHER,
            id="another metric",
        ),
    ],
)
def test_a_missing_metric_of_a_policy_names_the_fields_to_set(
    keys: list[MetricKey], wanted: MetricKey, found: str, remedy: str
):
    result = result_of(*keys)
    assert result.find(wanted) is None
    error = result.missing(wanted, "compare_policy.metric.name")
    got = f"{str(wanted)!r}, at /evaluation/4"
    assert str(error) == no_metric("compare_policy.metric.name", got, found, remedy)
    # Whoever follows the remedy finds a metric.
    details = ("model_name", "output_name", "sub_key", "aggregation", "example_weighted")
    named = [detail for detail in details if detail in remedy]
    followed = [
        dataclasses.replace(wanted, **{detail: getattr(key, detail) for detail in named})
        for key in keys
        if key.name == wanted.name
    ]
    assert any(map(result.find, followed)) == bool(named)


def test_a_compare_function_reads_by_the_names_that_are_shown():
    keys = [MetricKey(name="auc", example_weighted=flag) for flag in (True, False)]
    result = result_of(*keys)
    with pytest.raises(MissingMetricError) as caught:
        result["auc"]
    found = "auc[unweighted], auc[weighted]"
    assert str(caught.value) == no_metric("metric name", "'auc', at /evaluation/4", found)
    assert result["auc[weighted]"] == 0.0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"a": 1}, 1.0, id="int"),
        pytest.param({"a": Fraction(1, 4)}, 0.25, id="rational"),
        pytest.param(MappingProxyType({"a": 2.5}), 2.5, id="other mapping"),
        pytest.param({"a": math.inf}, math.inf, id="infinite"),
    ],
)
def test_from_mapping(value: Any, expected: float):
    result = EvalResult.from_mapping(value)
    assert result["a"] == expected
    assert result.source == pb.Evaluation.MAPPING
    assert result.slices == {}


def test_the_number_of_examples_in_a_mapping_is_a_metric_too():
    result = EvalResult.from_mapping({"loss": 0.5, "example_count": 300})
    assert (result.example_count, result["example_count"]) == (300.0, 300.0)
    assert EvalResult.from_proto(result.to_proto()).example_count == 300.0


def test_from_mapping_takes_numbers_of_numpy():
    np = pytest.importorskip("numpy")
    result = EvalResult.from_mapping({"a": np.float32(0.5), "b": np.int64(3)})
    assert dict(result) == {"a": 0.5, "b": 3.0}
    assert type(result["a"]) is float


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        pytest.param(
            None,
            TypeError,
            "eval_result must be a mapping of metric name to number (got None)."
            " Pass the metrics of the model's evaluation.",
            id="None",
        ),
        pytest.param(
            [1.0],
            TypeError,
            "eval_result must be a mapping of metric name to number (got [1.0])."
            " Pass the metrics of the model's evaluation.",
            id="list",
        ),
        pytest.param(
            {},
            ValueError,
            "eval_result must be a non-empty mapping (got {})."
            " Pass the metrics of the model's evaluation.",
            id="empty",
        ),
        pytest.param(
            {"loss": "0.5"},
            TypeError,
            elsewhere("eval_result['loss']", "'0.5'"),
            id="str",
        ),
        pytest.param(
            {"loss": True},
            TypeError,
            elsewhere("eval_result['loss']", "True"),
            id="bool",
        ),
        pytest.param(
            {"loss": None},
            TypeError,
            elsewhere("eval_result['loss']", "None"),
            id="no value",
        ),
        *(
            pytest.param(
                {"loss": value},
                ValueError,
                elsewhere("eval_result['loss']", f"a larger {type(value).__name__}"),
                id=f"a huge {type(value).__name__}",
            )
            for value in (10**5000, Fraction(-(10**400)))
        ),
        *(
            pytest.param(
                {name: 1.0},
                TypeError,
                "eval_result must be a mapping of metric name to number (got the name"
                f" {name!r}). Convert it to a str, or leave it out.",
                id=f"the name {name!r}",
            )
            for name in (5, None, b"loss")
        ),
        pytest.param(
            {"a\udc80": 1.0},
            ValueError,
            "eval_result must have names that UTF-8 can encode (got 'a\\udc80')."
            " Rename the metric, or leave it out.",
            id="a name that cannot be encoded",
        ),
        *(
            pytest.param(
                {"loss": 1.0, "example_count": value},
                ValueError,
                "eval_result['example_count'] must be a number of examples, finite and 0 or larger"
                f" (got {value!r}). Leave it out if it is not known.",
                id=f"{value} examples",
            )
            for value in (-1.0, math.inf, math.nan)
        ),
    ],
)
def test_from_mapping_refuses(value: Any, error: type[Exception], message: str | re.Pattern[str]):
    with pytest.raises(error) as caught:
        EvalResult.from_mapping(value)
    check_text(caught.value, message)


@pytest.mark.parametrize(
    "value", [0.25, -3.0, 0.0, math.inf, -math.inf, math.nan], ids=lambda value: f"{value}"
)
def test_survives_its_proto(value: float):
    key = MetricKey(name="auc", sub_key=("top_k", 3), aggregation="MICRO_AVERAGE")
    original = EvalResult(
        {key: MetricValue(value=value, lower_bound=0.0, upper_bound=math.inf)},
        uri="/evaluation/4",
        source=pb.Evaluation.TFMA,
        example_count=0.0,
        model_name="mine",
    )
    copy = EvalResult.from_proto(pb.Evaluation.FromString(original.to_proto().SerializeToString()))
    assert repr(copy) == repr(original)
    assert repr(copy.metrics[key]) == repr(original.metrics[key])
    assert (copy.source, copy.example_count) == (pb.Evaluation.TFMA, 0.0)
    assert copy.find(dataclasses.replace(key, model_name="mine")) is copy.metrics[key]


def test_unknown_values_stay_unknown_in_the_proto():
    copy = EvalResult.from_proto(EvalResult.from_mapping({"loss": 0.0}).to_proto())
    assert copy.example_count is None
    assert copy.metrics == {MetricKey(name="loss"): MetricValue(value=0.0)}


def test_proto_is_sorted_by_name():
    proto = EvalResult.from_mapping({"c": 1, "a": 2, "b": 3}).to_proto()
    assert [metric.key.name for metric in proto.metrics] == ["a", "b", "c"]


def test_slices_are_read_once_and_only_on_use():
    reads = []
    part = EvalResult.from_mapping({"loss": 2.0})

    def read() -> dict[Any, EvalResult]:
        reads.append("read")
        return {(("species", "a"),): part}

    result = EvalResult.from_proto(EvalResult.from_mapping({"loss": 1}).to_proto(), slices=read)
    assert reads == []
    assert result.slices[(("species", "a"),)] is part
    assert result.slices[(("species", "a"),)]["loss"] == 2.0
    assert reads == ["read"]


@pytest.mark.parametrize(
    "name", ["uri", "source", "warnings", "data", "evaluated_at", "model_name", "example_count"]
)
def test_attributes_cannot_be_set(name: str):
    result = EvalResult.from_mapping({"loss": 1})
    with pytest.raises(AttributeError):
        setattr(result, name, None)


def test_reads_by_name_are_reported():
    reads: list[str] = []
    result = EvalResult.from_mapping({"loss": 1, "auc": 0.5})
    view = result.reporting_reads(reads.append)
    assert "loss" in view
    assert "acc" not in view
    assert list(view) == ["loss", "auc"]
    assert (len(view), bool(view), view.by_name("loss")) == (2, True, MetricValue(value=1.0))
    with pytest.raises(MissingMetricError):
        view["acc"]
    assert view.get("acc", 0.0) == 0.0
    assert reads == []
    assert (view["auc"], view.get("loss"), view["auc"]) == (0.5, 1.0, 0.5)
    assert reads == ["auc", "loss", "auc"]
    # Reads of the original result are not reported.
    assert result["loss"] == 1.0
    assert reads == ["auc", "loss", "auc"]


def test_a_view_that_reports_reads_has_everything_else():
    part = EvalResult.from_mapping({"loss": 2.0})
    baseline = EvalResult.from_mapping({"loss": 3.0})
    key = MetricKey(name="loss")
    result = EvalResult(
        {key: MetricValue(value=1.0)},
        uri="/evaluation/4",
        source=pb.Evaluation.TFMA,
        example_count=5.0,
        model_name="mine",
        warnings=("a warning",),
        slices={(("species", "a"),): part},
        data=EvaluatedData(examples_uri="/examples/1"),
        evaluated_at=6.0,
        baseline=baseline,
        differences={key: MetricValue(value=-2.0)},
        model_paths={"mine": "/model"},
        suppressed_slices={(("species", "b"),): "too small"},
    )
    view = result.reporting_reads(lambda _: None)
    assert view.to_proto() == result.to_proto()
    assert (view.baseline, view.warnings, view.slices) == (
        baseline,
        ("a warning",),
        {(("species", "a"),): part},
    )
    assert view.slice_values(key) == {(("species", "a"),): 2.0}
    assert view.slice_example_counts() == {(("species", "a"),): None}
    assert view.suppressed_slices == {(("species", "b"),): "too small"}
    assert view.difference(MetricKey(name="loss", model_name="mine")) == MetricValue(value=-2.0)
    assert (view.metrics, view.differences) == (result.metrics, result.differences)
    assert dict(view.model_paths) == {"mine": "/model"}


class NumberedSource:
    """A source of another kind: metric_0 to metric_9, with their numbers as values."""

    model_name = "numbered"

    def __init__(self) -> None:
        self.decoded: list[int] = []

    def _decode(self, index: int) -> MetricValue:
        self.decoded.append(index)
        return MetricValue(value=float(index))

    def items(self) -> Iterator[tuple[MetricKey, MetricValue]]:
        return ((MetricKey(name=f"metric_{i}"), self._decode(i)) for i in range(10))

    def not_numbers(self) -> Iterator[MetricKey]:
        yield MetricKey(name="matrix")

    def get(self, key: MetricKey) -> MetricValue | None:
        return self._decode(int(key.name[-1])) if key.name.startswith("metric_") else None

    find = get

    def example_count(self) -> float | None:
        return 100.0

    def differences(self) -> Metrics:
        return self

    def baseline(self) -> EvalResult | None:
        return EvalResult.from_source(self, Provenance(uri="/baseline"))

    def slices(self) -> Mapping[SliceKey, EvalResult]:
        return {}

    def suppressed_slices(self) -> Mapping[SliceKey, str]:
        return {(("index", 2),): "too small"}

    def slice_values(self, key: MetricKey) -> dict[SliceKey, float]:
        return {(("index", 1),): 1.0}

    def slice_example_counts(self) -> dict[SliceKey, float | None]:
        return {(("index", 1),): 50.0}


def test_what_a_source_of_another_kind_has_no_numbers_for():
    result = EvalResult.from_source(NumberedSource(), Provenance())
    assert result.suppressed_slices == {(("index", 2),): "too small"}
    assert result.remedy(MetricKey(name="matrix")).startswith("matrix is in the evaluation, but ")
    assert result.remedy(MetricKey(name="auc")) == USE_ANOTHER


def test_a_source_of_another_kind_decodes_only_metrics_that_are_read():
    source = NumberedSource()
    result = EvalResult.from_source(source, Provenance(uri="/evaluation/4", evaluated_at=1.0))
    seven = MetricKey(name="metric_7")
    assert (result.uri, result.model_name, result.example_count) == (
        "/evaluation/4",
        "numbered",
        100.0,
    )
    assert result.baseline is not None
    assert result.baseline.uri == "/baseline"
    assert result.slice_values(seven) == {(("index", 1),): 1.0}
    assert result.slice_example_counts() == {(("index", 1),): 50.0}
    assert source.decoded == []
    assert result.find(seven) == result.difference(seven) == result.metrics[seven]
    assert source.decoded == [7, 7, 7]
    assert bool(result)
    assert source.decoded == [7, 7, 7, 0]
    assert MetricKey(name="auc") not in result.metrics
    assert result["metric_3"] == 3.0
    assert len(result.metrics) == len(result.differences) == len(result) == 10
