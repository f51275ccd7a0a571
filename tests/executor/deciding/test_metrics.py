import pytest

from tests.executor.deciding.decided import RULE, load_nothing, metric_policy
from tfx_best_exporter.executor.deciding.policy import check_policy, policy_from_proto
from tfx_best_exporter.executor.policies import compare_policy, larger, metric, smaller
from tfx_best_exporter.proto import best_exporter_pb2 as pb


@pytest.mark.parametrize(
    ("policy", "error"),
    [
        pytest.param(
            compare_policy(RULE, guardrails=[pb.Guardrail(bound=1, direction=pb.LOWER_IS_BETTER)]),
            "compare_policy.guardrails[0].metric.name must be the name of a metric (got ''). Name a"
            " metric of Evaluator's EvalConfig.",
            id="no metric",
        ),
        pytest.param(
            compare_policy(
                RULE, guardrails=[pb.Guardrail(bound=1, metric=pb.MetricKey(name="loss"))]
            ),
            "compare_policy.guardrails[0].direction must be HIGHER_IS_BETTER or LOWER_IS_BETTER"
            " (got METRIC_DIRECTION_UNSPECIFIED). Say which way 'loss' improves.",
            id="no direction",
        ),
        *(
            pytest.param(
                compare_policy(larger(name)),
                f"compare_policy.metric.metric.name must be the name of a metric (got {name!r})."
                " Name a metric of Evaluator's EvalConfig.",
                id=f"a metric called {name!r}",
            )
            for name in ("", "  ", "auc\n", "\u200b")
        ),
        pytest.param(
            compare_policy(RULE, tie_breakers=[smaller(metric("loss", output_name=" "))]),
            "compare_policy.tie_breakers[0].metric.output_name must be a name (got ' '). Name it as"
            " in Evaluator's EvalConfig, or leave it out.",
            id="a blank output",
        ),
        pytest.param(
            compare_policy(larger(pb.MetricKey(name="auc", model_name="a\t"))),
            "compare_policy.metric.metric.model_name must be a name (got 'a\\t'). Name it as in"
            " Evaluator's EvalConfig, or leave it out.",
            id="a model with a tab",
        ),
        *(
            pytest.param(
                compare_policy(larger(pb.MetricKey(name="recall", sub_key={kind: value}))),
                f"compare_policy.metric.metric.sub_key.{kind} must be {least} or larger (got"
                f" {value}). Classes count from 0, k and top_k from 1.",
                id=f"{kind} {value}",
            )
            for kind, value, least in (
                ("top_k", 0, 1),
                ("top_k", -1, 1),
                ("k", 0, 1),
                ("k", -1, 1),
                ("class_id", -1, 0),
            )
        ),
        pytest.param(
            compare_policy(larger(pb.MetricKey(name="auc", aggregation=9))),  # type: ignore[arg-type]
            "compare_policy.metric.metric.aggregation must be one of MICRO_AVERAGE, MACRO_AVERAGE,"
            " WEIGHTED_MACRO_AVERAGE (got 9). Leave it out where a metric is not averaged over"
            " classes.",
            id="an unknown aggregation",
        ),
        pytest.param(
            compare_policy(
                RULE,
                guardrails=[
                    pb.Guardrail(
                        bound=1,
                        metric=pb.MetricKey(name="loss"),
                        direction=7,  # type: ignore[arg-type]
                    )
                ],
            ),
            "compare_policy.guardrails[0].direction must be HIGHER_IS_BETTER or LOWER_IS_BETTER"
            " (got 7). Say which way 'loss' improves.",
            id="an unknown direction",
        ),
    ],
)
def test_refused_at_construction(policy: pb.ComparePolicy, error: str):
    with pytest.raises(ValueError, match="must") as caught:
        check_policy(policy)
    assert str(caught.value) == error


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        pytest.param(
            metric_policy(metric=pb.MetricKey(output_name="click")),
            "compare_policy.metric.metric.name must be the name of a metric (got '')."
            " Name a metric of Evaluator's EvalConfig.",
            id="no name",
        ),
        pytest.param(
            metric_policy(direction=pb.METRIC_DIRECTION_UNSPECIFIED),
            "compare_policy.metric.direction must be HIGHER_IS_BETTER or LOWER_IS_BETTER (got"
            " METRIC_DIRECTION_UNSPECIFIED). Say which way 'auc' improves.",
            id="no direction",
        ),
    ],
)
def test_a_metric_is_refused(proto: pb.ComparePolicy, message: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        policy_from_proto(proto, load_nothing)
    assert str(caught.value) == message
