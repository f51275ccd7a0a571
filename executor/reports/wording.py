"""Values of a decision as words for people."""

from __future__ import annotations

import datetime
import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping

from google.protobuf.timestamp_pb2 import Timestamp

from tfx_best_exporter.executor.deciding import guardrails, numbers
from tfx_best_exporter.executor.deciding.eval_result import MetricKey
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_NAME_LENGTH = 120
_TEXT_LENGTH = 600
# Control and format characters, including those that change the direction of a text.
_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
# Format characters that are part of words and emoji.
_JOINERS = "\u200c\u200d"
# Marks that are drawn on the character before them. Scripts use few on one character; more would
# cover the lines above.
_COMBINING = ("Mn", "Me")
_MOST_COMBINING = 4

DIRECTIONS: Mapping[int, str] = {
    pb.HIGHER_IS_BETTER: "higher is better",
    pb.LOWER_IS_BETTER: "lower is better",
}

_COMPARABILITIES: Mapping[int, str] = {
    pb.ComparePolicy.REQUIRE_SAME_DATA: "Required.",
    pb.ComparePolicy.ANY: "Not required.",
}
_ON_UNKNOWN_BEST: Mapping[int, str] = {
    pb.ComparePolicy.EXPORT: "The candidate is exported.",
    pb.ComparePolicy.FAIL: "The run fails.",
}


def number(value: float, *beside: float | None) -> str:
    """Returns a number as text with four digits, as in the explanations.

    Args:
        value: The number.
        beside: Numbers that are shown next to it. The text has more digits if it needs them to
            differ from the numbers that are not equal. None, NaN and infinities are skipped.

    Example:
        >>> number(0.93), number(0.93000004), number(0.93000004, 0.93)
        ('0.93', '0.93', '0.93000004')
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "-∞"
    return numbers.shown(value, *(other for other in beside if other is not None))


def confidence(alpha: float) -> str:
    """Returns 1 - alpha in percent, as in the explanations."""
    return numbers.confidence(alpha)


def count(value: float, *beside: float) -> str:
    """Returns a number of examples as text. See `number` for the arguments.

    The number need not be whole, because examples can have weights.
    """
    return numbers.count(value, *beside) if math.isfinite(value) else number(value)


_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def size(value: int, *beside: int) -> str:
    """Returns a number of bytes as text.

    Args:
        value: The number.
        beside: Sizes that are shown next to it. The text shows bytes if it would equal theirs.

    Example:
        >>> size(1536), size(52_428_800)
        ('1.5 KiB', '50 MiB')
    """
    text = _in_units(value)
    if any(other != value and _in_units(other) == text for other in beside):
        return f"{value:,} bytes"
    return text


def _in_units(value: int) -> str:
    place = min(max(value.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    return f"{number(value / 1024**place)} {_UNITS[place]}"


def name(value: str) -> str:
    """Returns a name for display, without its middle if it is long."""
    return _shortened(value, _NAME_LENGTH) or "(empty)"


def text(value: str) -> str:
    """Returns a sentence or an address for display, without its middle if it is long."""
    return _shortened(value, _TEXT_LENGTH)


def line(value: str) -> str:
    """Returns a text of any length as one line."""
    # Almost all texts are of this kind. A look at each character takes twenty times as long.
    if value.isascii() and value.isprintable():
        return value
    return "".join(_visible(value))


def _shortened(value: str, length: int) -> str:
    """Returns a text of about `length` characters, including its escape sequences."""
    if len(value) <= length:
        shown = line(value)
        if len(shown) <= length:
            return shown
    head = _fitting(_visible(value[:length]), length * 2 // 3)
    tail = _fitting(reversed(_visible(value[-length:])), length // 3)
    return f"{''.join(head)}… ({len(value):,} characters) …{''.join(reversed(tail))}"


def _fitting(parts: Iterable[str], length: int) -> list[str]:
    """Returns the first parts that together have at most `length` characters."""
    found = []
    for part in parts:
        length -= len(part)
        if length < 0:
            break
        found.append(part)
    return found


def _visible(value: str) -> list[str]:
    """Returns the characters of a text, some of them as Python escape sequences.

    Invisible characters are escaped, and so are combining marks after the first few in a row.
    """
    shown, marks = [], 0
    for character in value:
        category = unicodedata.category(character)
        if character in _JOINERS:
            # Joiners do not end a row of combining marks.
            is_spelt = False
        elif category in _COMBINING:
            marks += 1
            is_spelt = marks > _MOST_COMBINING
        else:
            marks = 0
            is_spelt = category in _INVISIBLE
        shown.append(character.encode("unicode_escape").decode() if is_spelt else character)
    return shown


def time(value: Timestamp) -> str:
    """Returns a time in UTC, to the second, or its seconds if it is outside the calendar."""
    try:
        moment = value.ToDatetime(tzinfo=datetime.timezone.utc)
    except (OverflowError, ValueError):
        return f"{value.seconds} seconds since 1970 UTC"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def change(improvement: float, *beside: float | None) -> str:
    """Returns the direction and the size of a change as text.

    Args:
        improvement: The change; positive if the value became better.
        beside: Numbers that are shown next to the size, as in `number`.
    """
    if math.isnan(improvement):
        return "not comparable"
    if improvement == 0:
        return "no change"
    return f"{'better' if improvement > 0 else 'worse'} by {number(abs(improvement), *beside)}"


def features(value: pb.Slice) -> list[tuple[str, str]]:
    """Returns the features of a slice, sorted by name; none for the overall slice."""
    return sorted(value.features.items())


def metric(key: pb.MetricKey) -> str:
    """Returns a metric's name as in the explanations."""
    return str(MetricKey.from_proto(key))


def policy(value: pb.ComparePolicy) -> Iterator[tuple[str, str]]:
    """Yields the parts of a policy: a label, and one or two sentences."""
    if value.compare_fn:
        yield "Better", f"The function {value.compare_fn} decides."
    if value.HasField("metric"):
        yield "Better", _rule(value.metric)
    for place, rule in enumerate(value.tie_breakers, 1):
        yield f"Tie-breaker {place}", _rule(rule)
    for guardrail in value.guardrails:
        yield "Guardrail", guardrails.text_of(guardrail)
    if value.min_example_count:
        yield (
            "Examples",
            f"At least {count(value.min_example_count)} in the candidate's evaluation.",
        )
    if value.ListFields():
        yield "Same data", _COMPARABILITIES.get(value.comparability, "Preferred.")
        yield "Unknown best", _on_unknown_best(value)
        is_allowed = "allowed" if value.allow_signature_change else "not allowed"
        yield "Signatures", f"A change that breaks clients of the best is {is_allowed}."
    if value.max_best_evaluation_age_seconds:
        age = _duration(value.max_best_evaluation_age_seconds)
        yield "Age", f"The best's recorded evaluation is at most {age} old."
    if value.max_best_age_seconds:
        age = _duration(value.max_best_age_seconds)
        yield (
            "Old best",
            (
                f"A best that is more than {age} old is replaced by a candidate that is not worse"
                f" by more than {number(value.old_best_margin)}."
            ),
        )
    if value.allow_older_data:
        yield "Older data", "The candidate's data may be older than the best's."
    if value.min_seconds_between_exports:
        interval = _duration(value.min_seconds_between_exports)
        yield "Interval", f"At least {interval} between two exports."
    if value.force:
        yield "Force", f"The candidate is exported even if it is not better: {value.force}"


def default_rule(decision: pb.ExportDecision) -> Iterator[tuple[str, str]]:
    """Yields a label and a sentence if the pipeline sets no rule."""
    if decision.HasField("default_rule"):
        no_rule = "The pipeline sets neither compare_fn nor compare_policy"
        yield "Default", f"{no_rule}. This rule was chosen because {decision.default_rule.why}."


def _on_unknown_best(value: pb.ComparePolicy) -> str:
    is_export = value.on_unknown_best == pb.ComparePolicy.EXPORT
    if is_export and value.comparability == pb.ComparePolicy.REQUIRE_SAME_DATA:
        return "The best is kept: REQUIRE_SAME_DATA cannot be met."
    return _ON_UNKNOWN_BEST.get(value.on_unknown_best, "The best is kept.")


def _rule(rule: pb.MetricRule) -> str:
    sentence = f"{metric(rule.metric)}: {DIRECTIONS.get(rule.direction, 'no direction')}"
    sizes = []
    if rule.min_absolute_change:
        sizes.append(f"more than {number(rule.min_absolute_change)}")
    if rule.min_relative_change:
        sizes.append(f"more than {_percent(rule.min_relative_change)} of the best")
    if sizes:
        sentence += f", by {' and '.join(sizes)}"
    if rule.HasField("significance"):
        alpha = rule.significance
        at = f"alpha {number(alpha.alpha)}" if alpha.HasField("alpha") else "default alpha"
        sentence += f", and significantly ({at})"
    if rule.tie_tolerance:
        tolerance = number(rule.tie_tolerance)
        sentence += f". A candidate that is worse by at most {tolerance} is a tie"
    return f"{sentence}."


def _percent(share: float) -> str:
    return f"{number(100 * share)} %"


def _duration(seconds: int) -> str:
    amount, unit = numbers.whole_duration(seconds)
    return f"{amount:,} {unit}"
