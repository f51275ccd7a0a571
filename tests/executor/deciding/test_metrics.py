import pytest

from tests.executor.deciding.decided import RULE, metric_policy, refused
from tfx_best_exporter.executor.policies import compare_policy
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def no_name(rule: str, name: str) -> str:
    return (
        f"compare_policy.{rule}.metric.name must be the name of a metric (got {name!r})."
        " Use a metric of Evaluator's EvalConfig."
    )


def no_part(field: str, name: str) -> str:
    return (
        f"compare_policy.{field} must be a name (got {name!r})."
        " Use the name in Evaluator's EvalConfig, or leave it out."
    )


def in_output(name: str) -> pb.MetricRule:
    return pb.MetricRule(
        metric=pb.MetricKey(name="loss", output_name=name), direction=pb.LOWER_IS_BETTER
    )


def no_direction(rule: str, got: str, metric_name: str) -> str:
    return (
        f"compare_policy.{rule}.direction must be HIGHER_IS_BETTER or LOWER_IS_BETTER (got {got})."
        f" Set the direction in which {metric_name!r} improves."
    )


@pytest.mark.parametrize(
    ("policy", "error"),
    [
        pytest.param(
            compare_policy(RULE, guardrails=[pb.Guardrail(bound=1, direction=pb.LOWER_IS_BETTER)]),
            no_name("guardrails[0]", ""),
            id="no metric",
        ),
        pytest.param(
            compare_policy(
                RULE, guardrails=[pb.Guardrail(bound=1, metric=pb.MetricKey(name="loss"))]
            ),
            no_direction("guardrails[0]", "METRIC_DIRECTION_UNSPECIFIED", "loss"),
            id="no direction",
        ),
        *(
            pytest.param(
                metric_policy(metric=pb.MetricKey(name=name)),
                no_name("metric", name),
                id=f"a metric called {name!r}",
            )
            for name in ("", "  ", "auc\n", "\u200b")
        ),
        pytest.param(
            compare_policy(RULE, tie_breakers=[in_output(" ")]),
            no_part("tie_breakers[0].metric.output_name", " "),
            id="a blank output",
        ),
        pytest.param(
            metric_policy(metric=pb.MetricKey(name="auc", model_name="a\t")),
            no_part("metric.metric.model_name", "a\t"),
            id="a model with a tab",
        ),
        *(
            pytest.param(
                metric_policy(metric=pb.MetricKey(name="recall", sub_key={kind: value})),
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
            metric_policy(metric=pb.MetricKey(name="auc", aggregation=9)),  # type: ignore[arg-type]
            "compare_policy.metric.metric.aggregation must be one of MICRO_AVERAGE, MACRO_AVERAGE,"
            " WEIGHTED_MACRO_AVERAGE (got 9). Leave it out for a metric that is not averaged"
            " over classes.",
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
            no_direction("guardrails[0]", "7", "loss"),
            id="an unknown direction",
        ),
        pytest.param(
            metric_policy(metric=pb.MetricKey(output_name="click")),
            no_name("metric", ""),
            id="no name",
        ),
        pytest.param(
            metric_policy(direction=pb.METRIC_DIRECTION_UNSPECIFIED),
            no_direction("metric", "METRIC_DIRECTION_UNSPECIFIED", "auc"),
            id="no direction",
        ),
    ],
)
def test_a_metric_is_refused(policy: pb.ComparePolicy, error: str):
    assert refused(policy) == error
