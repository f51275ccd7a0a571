"""The texts about thresholds of Evaluator that a candidate does not meet."""

import math

import pytest

from tests.executor.deciding.decided import DE, NL
from tfx_best_exporter.executor.deciding import thresholds
from tfx_best_exporter.executor.deciding.configured import Configured, ConfiguredMetric
from tfx_best_exporter.executor.deciding.eval_result import MetricKey
from tfx_best_exporter.executor.deciding.thresholds import FailedThreshold, Threshold
from tfx_best_exporter.proto import best_exporter_pb2 as pb

AUC = MetricKey(name="auc")
AT_LEAST, AT_MOST = Threshold(lower_bound=0.6), Threshold(upper_bound=0.6)
NO_LESS = Threshold(is_change=True, lower_bound=-0.001)


@pytest.mark.parametrize(
    ("failed", "text"),
    [
        pytest.param(
            FailedThreshold(key=AUC, value=0.58, threshold=AT_LEAST),
            "auc 0.58 is below the lower bound of 0.6",
            id="lower bound",
        ),
        pytest.param(
            FailedThreshold(key=AUC, value=0.62, threshold=AT_MOST),
            "auc 0.62 is above the upper bound of 0.6",
            id="upper bound",
        ),
        pytest.param(
            FailedThreshold(key=AUC, value=0.59999999, threshold=AT_LEAST),
            "auc 0.59999999 is below the lower bound of 0.6",
            id="digits that show the difference",
        ),
        pytest.param(
            FailedThreshold(key=AUC, value=0.58, slice_key=NL, threshold=AT_LEAST),
            "auc 0.58 on country=nl is below the lower bound of 0.6",
            id="on a slice",
        ),
        pytest.param(
            FailedThreshold(key=AUC, value=math.nan, threshold=AT_LEAST),
            "auc NaN is not within the lower bound of 0.6",
            id="NaN",
        ),
        pytest.param(
            FailedThreshold(key=AUC, value=-0.02, threshold=NO_LESS),
            "the change of auc from the baseline is -0.02, below the lower bound of -0.001",
            id="change",
        ),
        pytest.param(
            FailedThreshold(key=AUC, value=-0.02, slice_key=NL, threshold=NO_LESS),
            "the change of auc on country=nl from the baseline is -0.02, below the lower bound of"
            " -0.001",
            id="change on a slice",
        ),
        pytest.param(
            FailedThreshold(
                key=AUC, value=-0.02, threshold=Threshold(is_change=True, lower_share=-0.01)
            ),
            "the change of auc from the baseline is -0.02, below the lower bound of -1 % of the"
            " baseline's value",
            id="relative change",
        ),
        pytest.param(
            FailedThreshold(
                key=AUC,
                value=0.3,
                threshold=Threshold(is_change=True, upper_bound=0.5, upper_share=0.25),
            ),
            "the change of auc from the baseline is 0.3, above the upper bound of 25 % of the"
            " baseline's value",
            id="only the relative bound fails",
        ),
        pytest.param(
            FailedThreshold(
                key=AUC, value=0.3, slice_key=NL, other_slice_key=DE, threshold=AT_LEAST
            ),
            "auc 0.3 on country=nl less country=de is below the lower bound of 0.6",
            id="between slices",
        ),
        pytest.param(
            FailedThreshold(
                key=AUC, value=0.3, slice_key=NL, other_slice_key=(), threshold=AT_LEAST
            ),
            "auc 0.3 on country=nl less the overall slice is below the lower bound of 0.6",
            id="between a slice and all",
        ),
        pytest.param(
            FailedThreshold(key=AUC, threshold=AT_LEAST),
            "auc has a threshold, but is not in the evaluation",
            id="not found",
        ),
        pytest.param(
            FailedThreshold(key=None, slice_key=NL),
            "the examples have no slice country=nl, which has a threshold",
            id="no slice",
        ),
        pytest.param(
            FailedThreshold(key=AUC, value=0.7, threshold=AT_LEAST),
            "auc 0.7 is not within its bounds",
            id="a condition that is not known here",
        ),
    ],
)
def test_texts(failed: FailedThreshold, text: str):
    assert failed.explanation == text
    assert failed.to_proto().explanation == text


def test_the_message_of_a_decision():
    key = MetricKey(name="auc", output_name="click")
    failed = FailedThreshold(key=key, value=0.58, slice_key=NL, threshold=AT_LEAST)
    message = failed.to_proto()
    message.explanation = ""
    assert message == pb.FailedThreshold(
        metric="click/auc",
        slice=pb.Slice(features={"country": "nl"}),
        value=0.58,
        lower_bound=0.6,
    )
    change = FailedThreshold(key=AUC, slice_key=NL, other_slice_key=DE, threshold=NO_LESS)
    assert change.to_proto().is_change
    assert not change.to_proto().HasField("slice")
    assert not change.to_proto().HasField("value")
    assert change.to_proto().lower_bound == -0.001


def test_several():
    one = FailedThreshold(key=AUC, value=0.58, threshold=AT_LEAST)
    first = one.explanation
    assert thresholds.text_of([]) == ""
    assert thresholds.text_of([one]) == first
    assert thresholds.text_of([one] * 2) == f"{first}, and 1 more threshold is not met"
    assert thresholds.text_of([one] * 5) == f"{first}, and 4 more thresholds are not met"


NO_THRESHOLD = "Evaluator's EvalConfig has no threshold"
ONLY_CHANGES = (
    "Evaluator's EvalConfig has only change thresholds, which do not count without a baseline model"
)


def added(name: str, bound: str = "lower_bound") -> str:
    return (
        "Add threshold=tfma.MetricThreshold(value_threshold=tfma.GenericValueThreshold("
        f"{bound}={{'value': 0.5}})) to the tfma.MetricConfig of {name}, with a bound of your own,"
        " or do not pass model_blessing"
    )


@pytest.mark.parametrize(
    ("metrics", "text"),
    [
        pytest.param(
            [ConfiguredMetric(name="example_count"), ConfiguredMetric(name="auc")],
            f"{NO_THRESHOLD}. {added('auc')}",
            id="larger is better",
        ),
        pytest.param(
            [ConfiguredMetric(name="mine"), ConfiguredMetric(name="mse")],
            f"{NO_THRESHOLD}. {added('mse', 'upper_bound')}",
            id="a known metric first",
        ),
        pytest.param(
            [ConfiguredMetric(name="mine")], f"{NO_THRESHOLD}. {added('mine')}", id="not known"
        ),
        pytest.param(
            [ConfiguredMetric(name="auc"), ConfiguredMetric(name="recall", has_threshold=True)],
            f"{ONLY_CHANGES}. {added('recall')}",
            id="change thresholds",
        ),
        pytest.param(
            [ConfiguredMetric(name="example_count")],
            f"{NO_THRESHOLD}. Add a metric with a threshold to it, or do not pass model_blessing",
            id="no metric",
        ),
    ],
)
def test_the_line_that_makes_evaluator_compute_a_blessing(
    metrics: list[ConfiguredMetric], text: str
):
    assert thresholds.missing_text(Configured(metrics=tuple(metrics))) == text
