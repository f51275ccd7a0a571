"""The policies of a run, from the arguments of an exporter."""

import re
from typing import Any

import pytest

from tfx_best_exporter.executor.deciding.compare_function import CompareFunction
from tfx_best_exporter.executor.deciding.policy import DEFAULT_COMPARE_POLICY
from tfx_best_exporter.executor.exports.retention import DEFAULT_EXPORTS_TO_KEEP
from tfx_best_exporter.executor.policies import compare_policy, larger
from tfx_best_exporter.executor.running.settings import compare_policy_of, retention_policy_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb

AUC = compare_policy(larger("auc"))


def smaller_loss(best_eval_result: dict[str, Any], current_eval_result: dict[str, Any]) -> bool:
    return best_eval_result["loss"] > current_eval_result["loss"]


def load(reference: str) -> Any:
    assert reference == "functions.smaller_loss"
    return smaller_loss


def test_a_smaller_loss_by_default():
    message, policy = compare_policy_of(None, None, load)

    assert message == DEFAULT_COMPARE_POLICY
    assert [key.name for key in policy.rule.metrics or ()] == ["loss"]


def test_a_message():
    message, policy = compare_policy_of(None, AUC, load)

    assert message == AUC
    assert [key.name for key in policy.rule.metrics or ()] == ["auc"]


@pytest.mark.parametrize(
    ("compare_fn", "name"),
    [
        pytest.param(smaller_loss, "smaller_loss", id="a function"),
        pytest.param("functions.smaller_loss", "functions.smaller_loss", id="its dotted name"),
    ],
)
def test_a_compare_function(compare_fn: Any, name: str):
    message, policy = compare_policy_of(compare_fn, None, load)

    assert message == pb.ComparePolicy(compare_fn=name)
    assert policy.rule == CompareFunction(function=smaller_loss, name=name)


def test_the_compare_function_of_a_message_is_loaded():
    proto = pb.ComparePolicy(compare_fn="functions.smaller_loss")
    message, policy = compare_policy_of(None, proto, load)

    assert message == proto
    assert policy.rule == CompareFunction(function=smaller_loss, name="functions.smaller_loss")


@pytest.mark.parametrize(
    ("compare_fn", "policy", "kind", "text"),
    [
        pytest.param(smaller_loss, AUC, ValueError, "(got both)", id="both"),
        pytest.param(0.5, None, TypeError, "compare_fn must be a function", id="a number"),
        pytest.param(None, "auc", TypeError, "compare_policy must be", id="a text"),
        pytest.param(lambda best: True, None, ValueError, "compare_fn", id="other parameters"),
    ],
)
def test_arguments_are_refused(compare_fn: Any, policy: Any, kind: type[Exception], text: str):
    with pytest.raises(kind, match=re.escape(text)):
        compare_policy_of(compare_fn, policy, load)


def test_a_number_of_exports_to_keep():
    policy = retention_policy_of(3, None, AUC)

    assert policy is not None
    assert [rule.reason for rule in policy.rules] == ["among the 3 latest exports"]


def test_no_limit_keeps_every_export():
    assert retention_policy_of(None, None, AUC) is None


def test_keep_best_needs_a_metric_that_ranks():
    keep_best = pb.RetentionPolicy(keep_best=2)
    policy = retention_policy_of(DEFAULT_EXPORTS_TO_KEEP, keep_best, AUC)

    assert policy is not None
    assert [rule.reason for rule in policy.rules] == ["among the 2 best exports"]
    with pytest.raises(ValueError, match="keep_best"):
        retention_policy_of(
            DEFAULT_EXPORTS_TO_KEEP,
            keep_best,
            pb.ComparePolicy(compare_fn="functions.smaller_loss"),
        )
