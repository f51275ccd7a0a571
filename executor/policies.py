"""Constructors of the messages that configure BestExporter: rules, guardrails and policies.

Example:
    >>> compare_policy(
    ...     larger("auc", by=0.001, alpha=0.05),
    ...     tie_breakers=[smaller("loss")],
    ...     guardrails=[at_least("recall", 0.8), at_least("auc", max_regression=0.02)],
    ... )
    >>> retention_policy(keep_latest=3, keep_best=2, keep_every=timedelta(days=30))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

from tfx_best_exporter.executor.arguments.checks import (
    checked_flag,
    checked_number,
    checked_number_or_none,
    checked_text,
    described,
)
from tfx_best_exporter.executor.arguments.errors import (
    FieldTypeError,
    FieldValueError,
    renamed,
    within,
)
from tfx_best_exporter.executor.arguments.messages import checked_choice, checked_messages
from tfx_best_exporter.executor.arguments.slices import checked_slices
from tfx_best_exporter.executor.arguments.whole_numbers import (
    LARGEST_INT32,
    LARGEST_INT64,
    checked_count_or_none,
    checked_duration_or_none,
    checked_seconds,
    checked_sub_key,
    checked_versions,
    checked_whole_number,
)
from tfx_best_exporter.executor.deciding import guardrails as guardrail_kinds
from tfx_best_exporter.executor.deciding.eval_result import LEAST_SUB_KEYS
from tfx_best_exporter.executor.deciding.metrics import check_metric
from tfx_best_exporter.executor.deciding.policy import check_options
from tfx_best_exporter.executor.deciding.rules import MetricRule
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_T = TypeVar("_T")

# Fields of the messages, and the arguments that set them if their names differ.
_ARGUMENTS_OF_METRIC = {f"metric.{name}": name for name in ("name", "model_name", "output_name")}
_ARGUMENTS_OF_RULE = {
    "metric.name": "name",
    "min_absolute_change": "by",
    "min_relative_change": "by_share",
    "significance.alpha": "alpha",
    "significance.challengers": "challengers",
    "significance.guarantee": "guarantee",
}
_ARGUMENTS_OF_GUARDRAIL = {
    "metric.name": "name",
    "max_absolute_regression": "max_regression",
    "significance": "alpha",
    "significance.alpha": "alpha",
}
_CONSTRUCTORS_OF_GUARDRAILS = {pb.HIGHER_IS_BETTER: "at_least", pb.LOWER_IS_BETTER: "at_most"}


def metric(
    name: str,
    *,
    model_name: str = "",
    output_name: str = "",
    class_id: int | None = None,
    k: int | None = None,
    top_k: int | None = None,
    aggregation: str = "",
    example_weighted: bool | None = None,
) -> pb.MetricKey:
    """Returns the key of a metric, as TFMA addresses metrics.

    Args:
        name: Name of the metric, for example "auc".
        model_name: Name of the model in the evaluation, for an evaluation of several models none of
            which is the baseline.
        output_name: Name of the output, for a model with several outputs.
        class_id: Class whose metric is used.
        k: Rank of the prediction whose metric is used.
        top_k: Number of top predictions over which the metric is computed.
        aggregation: "MICRO_AVERAGE", "MACRO_AVERAGE" or "WEIGHTED_MACRO_AVERAGE".
        example_weighted: Required only if the evaluation has the metric weighted and unweighted.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: Several of class_id, k and top_k are set, one of them is out of range, a name
            has no visible characters, or the aggregation is unknown.
    """
    parts = {"class_id": class_id, "k": k, "top_k": top_k}
    given = {kind: value for kind, value in parts.items() if value is not None}
    if len(given) > 1:
        raise FieldValueError(
            "metric",
            f"must have at most one of class_id, k and top_k (got {given!r})."
            " Pass only one of them.",
        )
    values = pb.MetricKey.Aggregation.DESCRIPTOR.values_by_name
    names = [each for each in values if each.endswith("_AVERAGE")]
    if aggregation and aggregation not in names:
        raise FieldValueError(
            "aggregation",
            f"must be one of {', '.join(names)} (got {aggregation!r})."
            " Leave it out if the metric is not averaged over classes.",
        )
    key = pb.MetricKey(
        name=_argument("name", checked_text, name, "the name of a metric"),
        model_name=_argument("model_name", checked_text, model_name, "the name of a model"),
        output_name=_argument("output_name", checked_text, output_name, "the name of an output"),
        aggregation=aggregation or None,
    )
    for kind, value in given.items():
        setattr(key.sub_key, kind, _argument(kind, checked_sub_key, value, LEAST_SUB_KEYS[kind]))
    if example_weighted is not None:
        key.example_weighted = _argument("example_weighted", checked_flag, example_weighted)
    with renamed(_ARGUMENTS_OF_METRIC):
        # A key has no direction. The rule or the guardrail that uses the key sets it.
        check_metric(key, pb.HIGHER_IS_BETTER)
    return key


def larger(
    name: str | pb.MetricKey,
    *,
    by: float = 0.0,
    by_share: float = 0.0,
    alpha: float | None = None,
    challengers: int = 0,
    guarantee: bool = False,
    tie_tolerance: float = 0.0,
) -> pb.MetricRule:
    """Returns the rule that a larger value of a metric is better.

    Args:
        name: Name of the metric, or its key, made with `metric`.
        by: The improvement must be larger than this, in the metric's unit.
        by_share: The improvement must be larger than this share of abs(best).
        alpha: The improvement must be significant at level alpha, from 1e-9 to below 0.5. The test
            needs confidence intervals. None compares without a test.
        challengers: Number of refused models, from 0 to 8, that are kept and measured again in each
            run. The evidence of all these runs decides, and a run may export an earlier model. Only
            with alpha, and with `examples`. 0 tests each candidate once.
        guarantee: With challengers, use a test whose chance of ever exporting a model that is no
            better is at most alpha. It exports fewer models.
        tie_tolerance: A value that is worse by at most this, in the metric's unit, is a tie. The
            tie-breakers decide ties.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: A threshold is negative or not finite, alpha or challengers is out of range or
            set without the other, or the name has no visible characters.
    """
    return _rule(
        name,
        pb.HIGHER_IS_BETTER,
        by=by,
        by_share=by_share,
        alpha=alpha,
        challengers=challengers,
        guarantee=guarantee,
        tie_tolerance=tie_tolerance,
    )


def smaller(
    name: str | pb.MetricKey,
    *,
    by: float = 0.0,
    by_share: float = 0.0,
    alpha: float | None = None,
    challengers: int = 0,
    guarantee: bool = False,
    tie_tolerance: float = 0.0,
) -> pb.MetricRule:
    """Returns the rule that a smaller value of a metric is better. See `larger` for arguments."""
    return _rule(
        name,
        pb.LOWER_IS_BETTER,
        by=by,
        by_share=by_share,
        alpha=alpha,
        challengers=challengers,
        guarantee=guarantee,
        tie_tolerance=tie_tolerance,
    )


def at_least(
    name: str | pb.MetricKey,
    bound: float | None = None,
    *,
    max_regression: float | None = None,
    max_relative_regression: float | None = None,
    slices: Sequence[Mapping[str, object]] = (),
    every_slice_min_examples: float | None = None,
    alpha: float | None = None,
) -> pb.Guardrail:
    """Returns the guardrail that a metric must not be too small.

    Without `slices` and `every_slice_min_examples` the guardrail checks the overall slice.

    Args:
        name: Name of the metric, or its key, made with `metric`.
        bound: Minimum allowed value, in the metric's unit.
        max_regression: Maximum allowed decrease compared with the best, in the metric's unit.
        max_relative_regression: Maximum allowed decrease, as a share of abs(best).
        slices: Slices to check, for example [{"country": "nl"}].
        every_slice_min_examples: Check the overall slice and every slice with at least this many
            examples.
        alpha: A larger regression than the allowed one must be excluded at a confidence of
            1 - alpha, on every checked slice. The test needs confidence intervals. None compares
            without a test.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: No limit is set, a number is not finite, a regression is negative, alpha is out
            of range or set without a regression, or a name has no visible characters.
    """
    return _guardrail(
        name,
        pb.HIGHER_IS_BETTER,
        bound,
        max_regression,
        max_relative_regression,
        slices,
        every_slice_min_examples,
        alpha,
    )


def at_most(
    name: str | pb.MetricKey,
    bound: float | None = None,
    *,
    max_regression: float | None = None,
    max_relative_regression: float | None = None,
    slices: Sequence[Mapping[str, object]] = (),
    every_slice_min_examples: float | None = None,
    alpha: float | None = None,
) -> pb.Guardrail:
    """Returns the guardrail that a metric must not be too large.

    The arguments are those of `at_least`, with `bound` as the maximum allowed value and regressions
    as increases.
    """
    return _guardrail(
        name,
        pb.LOWER_IS_BETTER,
        bound,
        max_regression,
        max_relative_regression,
        slices,
        every_slice_min_examples,
        alpha,
    )


def compare_policy(
    rule: pb.MetricRule | str,
    *,
    tie_breakers: Sequence[pb.MetricRule] = (),
    guardrails: Sequence[pb.Guardrail] = (),
    min_example_count: float = 0.0,
    comparability: str = "PREFER_SAME_DATA",
    on_unknown_best: str = "KEEP",
    allow_signature_change: bool = False,
    force: str = "",
    force_model: str = "",
    max_best_evaluation_age_seconds: float = 0,
    min_seconds_between_exports: float = 0,
    allow_older_data: bool = False,
    max_best_age_seconds: float = 0,
    old_best_margin: float = 0.0,
    max_challenger_bytes: float | None = None,
    approval: str = "NOT_REQUIRED",
) -> pb.ComparePolicy:
    """Returns the policy by which a candidate is compared with the best.

    Pass it as `compare_policy` of BestExporter or ModelExporter, which check it as a whole.

    Args:
        rule: A rule made with `larger` or `smaller`, or the name of a compare function.
        tie_breakers: Rules that decide in order if the rule finds a tie.
        guardrails: Guardrails that must all hold.
        min_example_count: Minimum number of examples in the candidate's evaluation.
        comparability: "REQUIRE_SAME_DATA", "PREFER_SAME_DATA" or "ANY".
        on_unknown_best: "EXPORT", "KEEP" or "FAIL": the action if the evaluation of the best is not
            known.
        allow_signature_change: Export even if the serving signatures would break clients.
        force: Reason to export regardless of the comparison with the best; empty to compare.
        force_model: The candidate that `force` is for: the content digest of its SavedModel, such
            as "sha256:9f86d081884c7d65...", or the URI of its Model. Empty forces every candidate.
        max_best_evaluation_age_seconds: Maximum age of a recorded evaluation of the best, a whole
            number of seconds. Evaluations that are older, or as far in the future, are not used.
            0 allows any age.
        min_seconds_between_exports: Minimum time between two exports, a whole number of seconds. A
            better candidate that comes sooner is not exported. 0 allows any time.
        allow_older_data: Export even if the candidate was evaluated on an older span than the best.
        max_best_age_seconds: Maximum age of the best since its export, a whole number of seconds.
            An older best is replaced by a candidate that is not worse by more than
            old_best_margin. 0 allows any age.
        old_best_margin: The largest regression from a best that is too old, in the unit of the
            rule's metric. If the rule has alpha, a larger one must be excluded at that level.
        max_challenger_bytes: Maximum total size of the challengers' files, a whole number of bytes.
            None for twice the size of the best.
        approval: "REQUIRED" or "NOT_REQUIRED". If it is required, a run stages the candidate, and
            `best-exporter approve` exports it.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: comparability, on_unknown_best or approval is unknown, a number is negative or
            not finite, a number of seconds is not whole, or the reason has no visible characters.
    """
    if not isinstance(rule, (str, pb.MetricRule)):
        raise FieldTypeError(
            "rule",
            f"must be a metric rule, or the name of a compare function (got {described(rule)})."
            " Make a metric rule with larger or smaller.",
        )
    policy = pb.ComparePolicy(
        tie_breakers=_argument(
            "tie_breakers", checked_messages, tie_breakers, pb.MetricRule, "larger or smaller"
        ),
        guardrails=_argument(
            "guardrails", checked_messages, guardrails, pb.Guardrail, "at_least or at_most"
        ),
        min_example_count=_argument("min_example_count", checked_number, min_example_count),
        comparability=_argument(
            "comparability", checked_choice, comparability, pb.ComparePolicy.Comparability
        ),
        on_unknown_best=_argument(
            "on_unknown_best", checked_choice, on_unknown_best, pb.ComparePolicy.OnUnknownBest
        ),
        allow_signature_change=_argument(
            "allow_signature_change", checked_flag, allow_signature_change
        ),
        force=_argument("force", checked_text, force, "a reason in words"),
        force_model=_argument(
            "force_model", checked_text, force_model, "a content digest or a Model's URI"
        ),
        max_best_evaluation_age_seconds=_argument(
            "max_best_evaluation_age_seconds", checked_seconds, max_best_evaluation_age_seconds
        ),
        min_seconds_between_exports=_argument(
            "min_seconds_between_exports", checked_seconds, min_seconds_between_exports
        ),
        allow_older_data=_argument("allow_older_data", checked_flag, allow_older_data),
        max_best_age_seconds=_argument(
            "max_best_age_seconds", checked_seconds, max_best_age_seconds
        ),
        old_best_margin=_argument("old_best_margin", checked_number, old_best_margin),
        max_challenger_bytes=_argument(
            "max_challenger_bytes", checked_count_or_none, max_challenger_bytes, LARGEST_INT64
        ),
    )
    if _argument("approval", checked_choice, approval, pb.ComparePolicy.Approval) != "NOT_REQUIRED":
        policy.approval = pb.ComparePolicy.REQUIRED
    check_options(policy)
    if isinstance(rule, str):
        policy.compare_fn = _argument("rule", checked_text, rule, "the name of a compare function")
    else:
        policy.metric.CopyFrom(rule)
    return policy


def retention_policy(
    *,
    keep_latest: int | None = None,
    keep_younger_than: timedelta | float | None = None,
    keep_versions: Sequence[int] = (),
    keep_best: int | None = None,
    keep_every: timedelta | float | None = None,
    max_bytes: float | None = None,
) -> pb.RetentionPolicy:
    """Returns the policy that selects the exports to keep.

    Pass it as `retention_policy` of BestExporter or ModelExporter. An export is kept if any rule
    keeps it. The best, the latest export and exports written by other tools are never deleted.

    Example:
        >>> retention_policy(keep_latest=3, keep_every=timedelta(days=30), max_bytes=50 * 2**30)

    Args:
        keep_latest: Number of exports with the largest versions to keep.
        keep_younger_than: Age below which exports are kept, as a timedelta or in seconds.
        keep_versions: Versions to keep.
        keep_best: Number of exports to keep that have the best recorded values of the metric that
            `compare_policy` compares. It needs a metric rule, not a compare function.
        keep_every: Interval at which exports are kept, as a timedelta or in seconds. The oldest
            export is kept, and each export at least this much later than the one kept before it.
        max_bytes: Maximum total size of the kept exports, in bytes. It is applied last and deletes
            the oldest exports first, even if a rule keeps them. Without any rule, every export
            is kept up to this size.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: A number is not whole, not positive or too large.
    """
    return pb.RetentionPolicy(
        keep_latest=_argument("keep_latest", checked_count_or_none, keep_latest, LARGEST_INT32),
        keep_younger_than_seconds=_argument(
            "keep_younger_than", checked_duration_or_none, keep_younger_than
        ),
        keep_versions=_argument("keep_versions", checked_versions, keep_versions),
        keep_best=_argument("keep_best", checked_count_or_none, keep_best, LARGEST_INT32),
        keep_every_seconds=_argument("keep_every", checked_duration_or_none, keep_every),
        max_bytes=_argument("max_bytes", checked_count_or_none, max_bytes, LARGEST_INT64),
    )


def _argument(name: str, check: Callable[..., _T], value: object, *details: object) -> _T:
    """Returns the result of a check, and adds the argument's name to its errors."""
    with within(name):
        return check(value, *details)


def _rule(
    name: str | pb.MetricKey,
    direction: pb.MetricDirection,
    *,
    by: float,
    by_share: float,
    alpha: float | None,
    challengers: int,
    guarantee: bool,
    tie_tolerance: float,
) -> pb.MetricRule:
    alpha_number = _argument("alpha", checked_number_or_none, alpha)
    significance = pb.Significance(
        challengers=_argument("challengers", checked_whole_number, challengers),
        guarantee=_argument("guarantee", checked_flag, guarantee),
    )
    if alpha_number is not None:
        significance.alpha = alpha_number
    elif significance.challengers or significance.guarantee:
        raise FieldValueError(
            "challengers" if significance.challengers else "guarantee",
            f"must be left out without alpha (got {challengers or guarantee!r}). Set alpha, for"
            " example to 0.05.",
        )
    rule = pb.MetricRule(
        metric=_argument("name", _key, name),
        direction=direction,
        min_absolute_change=_argument("by", checked_number, by),
        min_relative_change=_argument("by_share", checked_number, by_share),
        significance=None if alpha_number is None else significance,
        tie_tolerance=_argument("tie_tolerance", checked_number, tie_tolerance),
    )
    with renamed(_ARGUMENTS_OF_RULE):
        MetricRule.from_proto(rule)
    return rule


def _guardrail(
    name: str | pb.MetricKey,
    direction: pb.MetricDirection,
    bound: float | None,
    max_regression: float | None,
    max_relative_regression: float | None,
    slices: Sequence[Mapping[str, object]],
    every_slice_min_examples: float | None,
    alpha: float | None,
) -> pb.Guardrail:
    alpha_number = _argument("alpha", checked_number_or_none, alpha)
    guardrail = pb.Guardrail(
        metric=_argument("name", _key, name),
        direction=direction,
        bound=_argument("bound", checked_number_or_none, bound),
        max_absolute_regression=_argument("max_regression", checked_number_or_none, max_regression),
        max_relative_regression=_argument(
            "max_relative_regression", checked_number_or_none, max_relative_regression
        ),
        slices=_argument("slices", checked_slices, slices),
        every_slice_min_examples=_argument(
            "every_slice_min_examples", checked_number_or_none, every_slice_min_examples
        ),
        significance=None if alpha_number is None else pb.Significance(alpha=alpha_number),
    )
    with renamed({**_ARGUMENTS_OF_GUARDRAIL, "": _CONSTRUCTORS_OF_GUARDRAILS[direction]}):
        guardrail_kinds.from_proto(guardrail)
    return guardrail


def _key(name: object) -> pb.MetricKey:
    if isinstance(name, pb.MetricKey):
        return name
    rule = "the name or the key of a metric"
    return pb.MetricKey(name=checked_text(name, rule, "Pass a str, or a key made with metric."))
