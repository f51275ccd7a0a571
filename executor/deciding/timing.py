"""The gates of a decision that depend on the time."""

from __future__ import annotations

from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.deciding.models import EVALUATED_NOW, Decision
from tfx_best_exporter.executor.deciding.policy import Policy
from tfx_best_exporter.executor.deciding.rules import Outcome
from tfx_best_exporter.executor.deciding.situation import Situation
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def older_data(situation: Situation) -> Decision | None:
    """Keeps a best that was evaluated on a newer span than the candidate."""
    # A backfill trains and evaluates on old data. The best may be worse on these data, and better
    # on the data that its clients send now.
    best, policy = situation.best, situation.policy
    if best is None or best.record is None or policy.force:
        return None
    span = situation.candidate.eval_result.data.span
    if not is_on_older_data(span, best.record, policy):
        return None
    return situation.decision(
        pb.ExportDecision.OLDER_DATA,
        f"the candidate was evaluated on span {span}, and the best (version {best.version}) on the"
        f" newer span {_span_of(best.record)}; set compare_policy.allow_older_data to"
        f" allow it: {situation.compared.verdict.explanation}",
    )


def is_on_older_data(span: int | None, record: pb.ExportRecord, policy: Policy) -> bool:
    """Returns True if a policy keeps the best because a run evaluates on an older span.

    Args:
        span: Span of the run's examples; None if it is not known.
        record: Record of the best.
        policy: The policy.
    """
    recorded = _span_of(record)
    return (
        not policy.allow_older_data
        and span is not None
        and recorded is not None
        and span < recorded
    )


def _span_of(record: pb.ExportRecord) -> int | None:
    """Returns the newest span by which a model was compared when it was exported, or None.

    The best may have been evaluated again on the candidate's data; its record has its own. The
    record of a challenger has the evaluation of its own run, and the run that exported it compared
    it on newer data, with the best of that time.
    """
    evaluations = [record.evaluation]
    if record.decision.HasField("exported_challenger"):
        evaluations.append(record.decision.best.evaluation)
    spans = [each.data.span for each in evaluations if each.data.HasField("span")]
    return max(spans, default=None)


def best_evaluation_too_old(situation: Situation) -> Decision | None:
    """Keeps a best whose evaluation is older than `max_best_evaluation_age_seconds`."""
    best, limit = situation.compared_best, situation.policy.max_best_evaluation_age_seconds
    known_best = situation.compared.known_best
    if best is None or known_best is None or not limit:
        return None
    if best.basis in EVALUATED_NOW:
        return None
    evaluated_at, least = known_best.evaluated_at, ""
    if evaluated_at is None and best.record is not None:
        # TFMA stores no time. The evaluation is older than the decision that recorded it.
        evaluated_at, least = recorded_at(best.record), "at least "
    if evaluated_at is None:
        _, most = numbers.durations(limit, limit)
        problem = (
            f"the age of the best's evaluation (version {best.version}) is not known; at most"
            f" {most} are allowed"
        )
    else:
        age_seconds = situation.now - evaluated_at
        if abs(age_seconds) <= limit:
            return None
        age, most = numbers.durations(abs(age_seconds), limit)
        if age_seconds < 0:
            problem = (
                f"the best's evaluation (version {best.version}) is dated {age} in the future, so"
                " a clock is wrong; evaluate the best again, or set"
                " compare_policy.max_best_evaluation_age_seconds to 0"
            )
        else:
            problem = (
                f"the best's evaluation (version {best.version}) is {least}{age} old; at most"
                f" {most} are allowed"
            )
    return situation.decision(
        pb.ExportDecision.BEST_EVALUATION_TOO_OLD,
        f"{problem}: {situation.compared.verdict.explanation}",
    )


def recorded_at(record: pb.ExportRecord) -> float | None:
    """Returns the time of a record in seconds since the epoch, or None if it has none."""
    if record.decision.HasField("decided_at"):
        return numbers.seconds_of(record.decision.decided_at)
    return numbers.seconds_of(record.exported_at) if record.HasField("exported_at") else None


def exported_recently(situation: Situation) -> Decision | None:
    """Does not export within `min_seconds_between_exports` of the last export."""
    policy, record = situation.policy, situation.latest_record
    limit = policy.min_seconds_between_exports
    if situation.best is None or policy.force or not limit:
        return None
    if record is None or not record.HasField("exported_at"):
        return None
    # A best that is known to be useless must not be served for longer.
    is_nan = situation.compared.verdict.outcome is Outcome.BETTER_THAN_NAN
    if is_nan or situation.best.serving_problems:
        return None
    elapsed_seconds = situation.now - numbers.seconds_of(record.exported_at)
    # A time in the future is a wrong clock, and must not stop exports for longer than the limit.
    if abs(elapsed_seconds) >= limit:
        return None
    elapsed, least = numbers.durations(abs(elapsed_seconds), limit)
    when = f"{elapsed} ago" if elapsed_seconds >= 0 else f"{elapsed} in the future"
    return situation.decision(
        pb.ExportDecision.EXPORTED_RECENTLY,
        f"the last export (version {record.version}) is dated {when}; at least {least} must lie"
        f" between exports: {situation.compared.verdict.explanation}",
    )


# Fields of a policy with a time after which a refused candidate may be exported.
_LIMITS = ("min_seconds_between_exports", "max_best_age_seconds")


def has_limits(policy: pb.ComparePolicy) -> bool:
    """Returns True if a limit of time of the policy can pass, so that the last export matters."""
    return any(getattr(policy, name) > 0 for name in _LIMITS)


def passed_limits(policy: pb.ComparePolicy, record: pb.ExportRecord | None, now: float) -> str:
    """Returns the limits of time that the last export has passed, as text for a cache key.

    A candidate that was refused before may be exported after one of them. Without it, a cache would
    repeat the refusal.

    Args:
        policy: The policy.
        record: Record of the newest export with a record, or None.
        now: Seconds since the epoch.
    """
    if record is None or not record.HasField("exported_at"):
        return ""
    elapsed_seconds = now - numbers.seconds_of(record.exported_at)
    return ", ".join(name for name in _LIMITS if 0 < getattr(policy, name) <= elapsed_seconds)
