"""Short constructors for what BestExporter is configured with.

Example:
    >>> compare_policy(
    ...     larger("auc", by=0.001, alpha=0.05),
    ...     tie_breakers=[smaller("loss")],
    ...     guardrails=[
    ...         at_least("recall", 0.8),
    ...         at_least("auc", max_regression=0.02, every_slice_min_examples=100),
    ...     ],
    ... )
    >>> retention_policy(keep_latest=3, keep_best=2, keep_every=timedelta(days=30))
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from google.protobuf import message

from tfx_best_exporter.executor.arguments.checks import (
    checked_number,
    described,
    is_encodable,
    is_number,
)
from tfx_best_exporter.executor.deciding.eval_result import LEAST_SUB_KEYS
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_LARGEST_INT32 = 2**31 - 1
_LARGEST_INT64 = 2**63 - 1
_LEAVE_IT_OUT = "Leave it out for no such rule."


def metric(
    name: str,
    *,
    output_name: str = "",
    class_id: int | None = None,
    k: int | None = None,
    top_k: int | None = None,
    aggregation: str = "",
    example_weighted: bool | None = None,
) -> pb.MetricKey:
    """Returns which metric of an evaluation is meant, as TFMA addresses it.

    Args:
        name: For example "auc".
        output_name: Of a model with several outputs.
        class_id: The metric of this class.
        k: The metric of the k-th prediction.
        top_k: The metric over the first k predictions.
        aggregation: "MICRO_AVERAGE", "MACRO_AVERAGE" or "WEIGHTED_MACRO_AVERAGE".
        example_weighted: Needed only where an evaluation holds a metric weighted and unweighted.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: More than one of class_id, k and top_k, or one too small or too large; or no
            such aggregation.
    """
    parts = {"class_id": class_id, "k": k, "top_k": top_k}
    given = {kind: value for kind, value in parts.items() if value is not None}
    if len(given) > 1:
        raise ValueError(
            f"metric must have at most one of class_id, k and top_k (got {given!r})."
            " They name different parts of a metric."
        )
    values = pb.MetricKey.Aggregation.DESCRIPTOR.values_by_name
    names = [each for each in values if each.endswith("_AVERAGE")]
    if aggregation and aggregation not in names:
        raise ValueError(
            f"aggregation must be one of {', '.join(names)} (got {aggregation!r})."
            " Leave it out where a metric is not averaged over classes."
        )
    key = pb.MetricKey(
        name=_text(name, "name", "the name of a metric"),
        output_name=_text(output_name, "output_name", "the name of an output"),
        aggregation=aggregation or None,
    )
    for kind, value in given.items():
        setattr(key.sub_key, kind, _part(value, kind))
    if example_weighted is not None:
        key.example_weighted = _flag(example_weighted, "example_weighted")
    return key


def larger(
    name: str | pb.MetricKey,
    *,
    by: float = 0.0,
    by_share: float = 0.0,
    alpha: float | None = None,
    tie_tolerance: float = 0.0,
) -> pb.MetricRule:
    """Returns the rule that a larger value of a metric is better.

    Args:
        name: Of the metric, or the metric.
        by: By more than this, in the metric's own unit.
        by_share: By more than this share of abs(best).
        alpha: The improvement must be more than noise, at 1 - alpha: asks for confidence
            intervals. None: noise is not looked at.
        tie_tolerance: Worse by no more than this is a tie, which the tie-breakers decide.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: No float can hold a number, or UTF-8 cannot encode the name.
    """
    return _rule(name, pb.HIGHER_IS_BETTER, by, by_share, alpha, tie_tolerance)


def smaller(
    name: str | pb.MetricKey,
    *,
    by: float = 0.0,
    by_share: float = 0.0,
    alpha: float | None = None,
    tie_tolerance: float = 0.0,
) -> pb.MetricRule:
    """Returns the rule that a smaller value of a metric is better; arguments as in `larger`."""
    return _rule(name, pb.LOWER_IS_BETTER, by, by_share, alpha, tie_tolerance)


def at_least(
    name: str | pb.MetricKey,
    bound: float | None = None,
    *,
    max_regression: float | None = None,
    max_relative_regression: float | None = None,
    slices: Sequence[Mapping[str, object]] = (),
    every_slice_min_examples: float | None = None,
) -> pb.Guardrail:
    """Returns the guardrail that a metric, of which more is better, must not fall too low.

    Args:
        name: Of the metric, or the metric.
        bound: The least value allowed, in the metric's own unit.
        max_regression: How much less than the best's, in the metric's own unit.
        max_relative_regression: How much less, as a share of abs(best).
        slices: Where, for example [{"country": "nl"}]; neither these nor the next: overall.
        every_slice_min_examples: On every slice with at least so many examples, and overall.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: No float can hold a number, or UTF-8 cannot encode a text.
    """
    return _guardrail(
        name,
        pb.HIGHER_IS_BETTER,
        bound,
        max_regression,
        max_relative_regression,
        slices,
        every_slice_min_examples,
    )


def at_most(
    name: str | pb.MetricKey,
    bound: float | None = None,
    *,
    max_regression: float | None = None,
    max_relative_regression: float | None = None,
    slices: Sequence[Mapping[str, object]] = (),
    every_slice_min_examples: float | None = None,
) -> pb.Guardrail:
    """Returns the guardrail that a metric, of which less is better, must not rise too high.

    Arguments as in `at_least`, with most and more for least and less.
    """
    return _guardrail(
        name,
        pb.LOWER_IS_BETTER,
        bound,
        max_regression,
        max_relative_regression,
        slices,
        every_slice_min_examples,
    )


def compare_policy(
    rule: pb.MetricRule | str,
    *,
    tie_breakers: Sequence[pb.MetricRule] = (),
    guardrails: Sequence[pb.Guardrail] = (),
    min_example_count: float = 0.0,
    comparability: str = "PREFER_SAME_DATA",
    on_unknown_best: str = "EXPORT",
    allow_signature_change: bool = False,
    force: str = "",
    max_best_evaluation_age_seconds: float = 0,
) -> pb.ComparePolicy:
    """Returns how a candidate is compared with the best: `compare_policy` of BestExporter.

    Args:
        rule: `larger` or `smaller`, or the name of a compare function.
        tie_breakers: What decides where the rule finds a tie, in order.
        guardrails: All of them must hold.
        min_example_count: The candidate's evaluation must have at least so many examples.
        comparability: "REQUIRE_SAME_DATA", "PREFER_SAME_DATA" or "ANY".
        on_unknown_best: "EXPORT", "KEEP" or "FAIL".
        allow_signature_change: Export although clients of the best would break.
        force: Export whatever the comparison with the best says, for this reason.
        max_best_evaluation_age_seconds: A recorded evaluation of the best that is older, or as far
            in the future, is not compared with; 0 for any age. A whole number.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: comparability or on_unknown_best is no such choice, the age is no whole number,
            or no float can hold a number, or UTF-8 cannot encode a text.
    """
    if not isinstance(rule, (str, pb.MetricRule)):
        raise TypeError(
            "rule must be a metric rule, or the name of a compare function (got"
            f" {described(rule)}). Make a rule with larger or smaller."
        )
    policy = pb.ComparePolicy(
        tie_breakers=_list(tie_breakers, pb.MetricRule, "tie_breakers", "larger or smaller"),
        guardrails=_list(guardrails, pb.Guardrail, "guardrails", "at_least or at_most"),
        min_example_count=checked_number(min_example_count, "min_example_count"),
        comparability=_choice(pb.ComparePolicy.Comparability, comparability, "comparability"),
        on_unknown_best=_choice(pb.ComparePolicy.OnUnknownBest, on_unknown_best, "on_unknown_best"),
        allow_signature_change=_flag(allow_signature_change, "allow_signature_change"),
        force=_text(force, "force", "a reason in words"),
        max_best_evaluation_age_seconds=_seconds(
            max_best_evaluation_age_seconds, "max_best_evaluation_age_seconds"
        ),
    )
    if isinstance(rule, str):
        policy.compare_fn = _text(rule, "rule", "the name of a compare function")
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
    """Returns which exports to keep: `retention_policy` of BestExporter.

    An export is kept when any rule keeps it. The best, the last export and exports that
    BestExporter did not write are never deleted.

    Example:
        >>> retention_policy(keep_latest=3, keep_every=timedelta(days=30), max_bytes=50 * 2**30)

    Args:
        keep_latest: Number of exports with the largest versions to keep.
        keep_younger_than: A timedelta or a number of seconds; younger exports are kept.
        keep_versions: Versions to keep.
        keep_best: Number of exports to keep that have the best recorded values of the metric that
            `compare_policy` compares. It needs a metric rule, not a compare function.
        keep_every: A timedelta or a number of seconds: the oldest export is kept, and each that was
            exported at least so long after the one kept before it.
        max_bytes: Cap on the size of the kept exports together, applied last: the oldest goes
            first, even one that a rule keeps. Alone, it keeps every export up to the cap.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: A number is not whole, not positive or too large.
    """
    return pb.RetentionPolicy(
        keep_latest=_count(keep_latest, "keep_latest", _LARGEST_INT32),
        keep_younger_than_seconds=_duration(keep_younger_than, "keep_younger_than"),
        keep_versions=_versions(keep_versions),
        keep_best=_count(keep_best, "keep_best", _LARGEST_INT32),
        keep_every_seconds=_duration(keep_every, "keep_every"),
        max_bytes=_count(max_bytes, "max_bytes", _LARGEST_INT64),
    )


def _rule(
    name: str | pb.MetricKey,
    direction: pb.MetricDirection,
    by: float,
    by_share: float,
    alpha: float | None,
    tie_tolerance: float,
) -> pb.MetricRule:
    return pb.MetricRule(
        metric=_key(name),
        direction=direction,
        min_absolute_change=checked_number(by, "by"),
        min_relative_change=checked_number(by_share, "by_share"),
        significance=(
            None if alpha is None else pb.Significance(alpha=checked_number(alpha, "alpha"))
        ),
        tie_tolerance=checked_number(tie_tolerance, "tie_tolerance"),
    )


def _guardrail(
    name: str | pb.MetricKey,
    direction: pb.MetricDirection,
    bound: float | None,
    max_regression: float | None,
    max_relative_regression: float | None,
    slices: Sequence[Mapping[str, object]],
    every_slice_min_examples: float | None,
) -> pb.Guardrail:
    return pb.Guardrail(
        metric=_key(name),
        direction=direction,
        bound=_number_or_none(bound, "bound"),
        max_absolute_regression=_number_or_none(max_regression, "max_regression"),
        max_relative_regression=_number_or_none(max_relative_regression, "max_relative_regression"),
        slices=_slices(slices),
        every_slice_min_examples=_number_or_none(
            every_slice_min_examples, "every_slice_min_examples"
        ),
    )


def _slices(slices: Any) -> list[pb.Slice]:
    example = "Give one dictionary for each slice, such as [{'country': 'nl'}]."
    if not _is_list(slices):
        raise TypeError(
            f"slices must be a list of dictionaries (got {described(slices)}). {example}"
        )
    result = []
    for index, each in enumerate(slices):
        field = f"slices[{index}]"
        if not isinstance(each, Mapping):
            raise TypeError(
                f"{field} must be a dictionary of features (got {described(each)}). {example}"
            )
        result.append(
            pb.Slice(
                features={
                    _text(column, f"a name in {field}", "that of a feature"): _text(
                        str(value) if is_number(value) else value,
                        f"{field}[{column!r}]",
                        "the value of a feature",
                        "Give it as a str or a number.",
                    )
                    for column, value in each.items()
                }
            )
        )
    return result


def _key(name: object) -> pb.MetricKey:
    if isinstance(name, pb.MetricKey):
        return name
    what = "the name of a metric, or a metric"
    return pb.MetricKey(name=_text(name, "name", what, "Give a str, or what metric returns."))


def _text(value: object, field: str, what: str, remedy: str = "Give it as a str.") -> str:
    if not isinstance(value, str):
        raise TypeError(f"{field} must be {what} (got {described(value)}). {remedy}")
    if not is_encodable(value):
        raise ValueError(
            f"{field} must be text that UTF-8 can encode (got {value!r})."
            " Replace the characters that it cannot."
        )
    return value


def _number_or_none(value: object, field: str) -> float | None:
    return None if value is None else checked_number(value, field)


def _flag(value: object, field: str) -> bool:
    if not isinstance(value, bool):
        raise TypeError(
            f"{field} must be True or False (got {described(value)}). Leave it out for the default."
        )
    return value


def _part(value: object, kind: str) -> int:
    """Returns the number of a class or a rank."""
    least = LEAST_SUB_KEYS[kind]
    error = (
        f"{kind} must be a whole number from {least} to {_LARGEST_INT32} (got {described(value)})."
        " Classes count from 0, k and top_k from 1."
    )
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(error)
    if not least <= int(value) <= _LARGEST_INT32:
        raise ValueError(error)
    return int(value)


def _seconds(value: object, field: str) -> int:
    """Returns whole seconds; a timedelta's are a float."""
    whole = _integer_of(value, checked_number(value, field))
    if whole is None or abs(whole) > _LARGEST_INT64:
        raise ValueError(
            f"{field} must be a whole number of seconds, less than 2**63 (got {value!r})."
            " Round it, or leave it out for any age."
        )
    return whole


def _integer_of(value: object, number: float) -> int | None:
    """Returns a whole number as an int, or None for another number.

    Args:
        value: As it was given.
        number: The same as a float.
    """
    if isinstance(value, numbers.Integral):
        # As it is: a float of a large one is another number.
        return int(value)
    return int(number) if number.is_integer() else None


def _count(value: object, field: str, largest: int) -> int | None:
    if value is None:
        return None
    what = f"a whole number from 1 to {largest}"
    return _positive(value, value, field, what, largest, _LEAVE_IT_OUT)


def _duration(value: object, field: str) -> int | None:
    """Returns whole seconds, or None where no duration was given."""
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    what = f"a timedelta or a number, of whole seconds, from 1 to {_LARGEST_INT64}"
    return _positive(seconds, value, field, what, _LARGEST_INT64, _LEAVE_IT_OUT)


def _versions(values: Any) -> list[int]:
    if not _is_list(values):
        raise TypeError(
            f"keep_versions must be a list of versions (got {described(values)})."
            " Put even one alone into a list."
        )
    what = f"a whole number from 1 to {_LARGEST_INT64}"
    remedy = "Give the number that names a version directory."
    return [
        _positive(value, value, f"keep_versions[{index}]", what, _LARGEST_INT64, remedy)
        for index, value in enumerate(values)
    ]


def _positive(
    number: object, value: object, field: str, what: str, largest: int, remedy: str
) -> int:
    """Returns a whole number from 1 to the largest.

    Args:
        number: A real number, of numpy too; no bool.
        value: The argument as it was given, for errors.
        field: The argument's name, for errors.
        what: What it must be, for errors.
        largest: The largest number that the message can hold.
        remedy: For errors.

    Raises:
        TypeError: It is no number.
        ValueError: It is not whole, too small or too large.
    """
    whole = _integer_of(number, checked_number(number, field)) if is_number(number) else None
    if whole is not None and 1 <= whole <= largest:
        return whole
    kind = ValueError if is_number(number) else TypeError
    raise kind(f"{field} must be {what} (got {described(value)}). {remedy}")


def _is_list(value: object) -> bool:
    is_one = isinstance(value, (str, bytes, Mapping, message.Message))
    return isinstance(value, Iterable) and not is_one


def _list(values: Any, kind: type, field: str, makers: str) -> list[Any]:
    if not _is_list(values):
        raise TypeError(
            f"{field} must be a list (got {described(values)})."
            f" Make each with {makers}, and put even one alone into a list."
        )
    result = list(values)
    for index, each in enumerate(result):
        if not isinstance(each, kind):
            raise TypeError(
                f"{field}[{index}] must be a {kind.__name__} (got {described(each)})."
                f" Make it with {makers}."
            )
    return result


def _choice(enum: Any, name: str, field: str) -> str:
    values = enum.DESCRIPTOR.values_by_name
    names = [each for each in values if not each.endswith("UNSPECIFIED")]
    if name not in names:
        raise ValueError(
            f"{field} must be one of {', '.join(names)} (got {name!r}). See compare_policy."
        )
    return name
