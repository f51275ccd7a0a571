"""The changes since the best was exported: policy, data and size."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

from tfx_best_exporter.executor.reports import wording
from tfx_best_exporter.executor.reports.sections import fields
from tfx_best_exporter.executor.reports.sections.fields import Rows
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_NONE = "none"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    what: str
    before: str
    now: str


def section(decision: pb.ExportDecision) -> Rows[_Change] | None:
    """Returns the facts that differ from those in the best's record; None if there are none."""
    if not decision.HasField("best"):
        return None
    rows = [*_policy(decision), *_data(decision), *_size(decision)]
    return Rows.of(rows) if rows else None


def _policy(decision: pb.ExportDecision) -> Iterator[_Change]:
    best = decision.best
    if not best.HasField("compare_policy") or not decision.HasField("compare_policy"):
        return
    before, now = [*wording.policy(best.compare_policy)], [*wording.policy(decision.compare_policy)]
    gone = [each for each in before if each not in now]
    added = [each for each in now if each not in before]
    for label in dict.fromkeys(label for label, _ in (*gone, *added)):
        pairs = itertools.zip_longest(
            *([sentence for name, sentence in side if name == label] for side in (gone, added)),
            fillvalue=_NONE,
        )
        for one, other in pairs:
            yield _Change(what=f"Policy: {label}", before=one, now=other)


def _data(decision: pb.ExportDecision) -> Iterator[_Change]:
    best, candidate = decision.best, decision.candidate_evaluation
    sides = [
        {
            "Examples artifact": data.examples_uri,
            "Splits": ", ".join(data.splits),
            "Span": str(data.span) if data.HasField("span") else "",
            "Number of examples": "" if count is None else wording.count(count),
            "EvalConfig": data.eval_config_digest,
        }
        for data, count in (
            (best.recorded_data, fields.optional(best, "recorded_example_count")),
            (candidate.data, fields.optional(candidate, "example_count")),
        )
    ]
    before, now = sides
    for label in before:
        # A fact that one side does not know is no change.
        if before[label] and now[label] and before[label] != now[label]:
            yield _Change(what=label, before=before[label], now=now[label])


def _size(decision: pb.ExportDecision) -> Iterator[_Change]:
    sizes = [
        fields.optional(model, "size_bytes") for model in (decision.best.model, decision.candidate)
    ]
    if None in sizes or sizes[0] == sizes[1]:
        return
    before, now = (int(size or 0) for size in sizes)
    yield _Change(
        what="Size of the model",
        before=wording.size(before),
        now=f"{wording.size(now, before)}{_share(before, now)}",
    )


def _share(before: int, now: int) -> str:
    if not before:
        return ""
    change = wording.number(100 * abs(now - before) / before)
    return f", {change} % {'larger' if now > before else 'smaller'}"
