"""Backtest: the decisions that another policy would have made on the logged runs.

The runs are replayed in order, and the best of the replay is the last candidate that the other
policy would have exported. Where the log lacks a value, the answer is CANNOT_TELL, and the replay
goes on as it was decided. When the served version changed without a run, for example by a rollback,
the replay goes on with the version that was served.

The log has the overall slice only. It has no evaluation of a promoted version on the data of later
candidates. Serving signatures were compared only in runs that would have exported by the policy of
that time.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

from google.protobuf import json_format

from tfx_best_exporter.executor.arguments.errors import PathError
from tfx_best_exporter.executor.deciding import numbers, timing
from tfx_best_exporter.executor.deciding.decide import decide
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricValue
from tfx_best_exporter.executor.deciding.models import Best, Candidate, Observation
from tfx_best_exporter.executor.deciding.policy import Policy, policy_from_proto
from tfx_best_exporter.executor.exports.decision_log import FAILED, RUN, LoggedDecision
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import RecordError
from tfx_best_exporter.executor.operating.holding import RELEASE
from tfx_best_exporter.executor.operating.operation import check_exists
from tfx_best_exporter.executor.operating.promoting import PROMOTE
from tfx_best_exporter.proto import best_exporter_pb2 as pb

CANNOT_TELL = "CANNOT_TELL"

_R = pb.ExportDecision
# Reasons that do not depend on the policy, or on the best.
_ANY_POLICY = frozenset(
    map(
        _R.Reason.Name,
        (
            _R.NOT_BLESSED,
            _R.BLESSING_NOT_COMPUTED,
            _R.BEING_WRITTEN,
            _R.REJECTED,
            _R.ON_HOLD,
        ),
    )
)
_UNKNOWN_BEST = frozenset(map(_R.Reason.Name, (_R.BEST_UNKNOWN_EXPORTED, _R.BEST_UNKNOWN_KEPT)))
_SIGNATURES_CHANGED = _R.Reason.Name(_R.SIGNATURES_CHANGED)
_REEXPORTED = _R.Reason.Name(_R.REEXPORTED)
_SAME_DATA, _OTHER_DATA = _R.RECORDED_SAME_DATA, _R.RECORDED_OTHER_DATA


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BacktestRow:
    """One logged run, compared with the decision of another policy.

    Attributes:
        logged: The run as it was decided.
        reason: Name of the pb.ExportDecision.Reason by the other policy, or CANNOT_TELL.
        would_export: True if the other policy exports the candidate; None if the log lacks a value.
        explanation: Explanation of that decision, or the value that is missing.
    """

    logged: LoggedDecision
    reason: str
    would_export: bool | None
    explanation: str

    @property
    def differs(self) -> bool:
        """True if the other policy is known to decide otherwise."""
        return self.would_export is not None and self.would_export != self.logged.exported


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """The best of the replay.

    Attributes:
        digest: Content digest.
        evaluation: Its evaluation; None if it was not known.
        version: Version that it really has; None if it was not exported.
        exported_at: Time of its export, in seconds since the epoch; None if it is not known.
        promotion: The promotion by an operator; None without one.
        replaced: Content digest of the model that it replaced by force; empty if it was not forced.
    """

    digest: str
    evaluation: EvalResult | None
    version: int | None
    exported_at: float | None = None
    promotion: pb.OperatorAction | None = None
    replaced: str = ""

    @property
    def record(self) -> pb.ExportRecord:
        """The fields of its record that a decision reads."""
        result = pb.ExportRecord(version=self.version or 0, promotion=self.promotion)
        if self.evaluation is not None:
            result.evaluation.CopyFrom(self.evaluation.to_proto())
        if self.exported_at is not None:
            result.exported_at.FromNanoseconds(int(self.exported_at * 1e9))
        if self.replaced:
            result.decision.reason = _R.FORCED
            result.decision.best.model.digest = self.replaced
        return result


def backtest(exports: ExportDirectory, compare_policy: pb.ComparePolicy) -> tuple[BacktestRow, ...]:
    """Returns the decision of another policy on each logged run, oldest first.

    Approval is left out: a candidate that would wait for approval counts as exported.

    Args:
        exports: The base directory.
        compare_policy: The other policy.

    Raises:
        OperationError: There is no such base directory.
        FieldValueError: The policy is invalid.
        OSError: The base directory cannot be read.
    """
    policy = policy_from_proto(compare_policy, lambda _: bool)
    policy = dataclasses.replace(policy, requires_approval=False)
    check_exists(exports.base)
    decisions = exports.decision_log.read().decisions
    models = _Models(exports, decisions)
    has_function = compare_policy.WhichOneof("rule") == "compare_fn"
    runs = [decision for decision in decisions if decision.kind == RUN]
    return tuple(_replay(runs, policy, models, has_function=has_function))


class _Models:
    """The models of versions: from the log, or from the records."""

    def __init__(self, exports: ExportDirectory, decisions: Sequence[LoggedDecision]):
        self._exports = exports
        self._known: dict[int, _Model] = {}
        for decision in decisions:
            # The line of an exported challenger is about the candidate; its record has the model.
            if _exported_candidate(decision) and decision.version is not None:
                self._known[decision.version] = self._model_of(decision)
        # The time of a release is not known if the log no longer has its line.
        self._released = dict.fromkeys(exports.operators.names().released, -math.inf) | {
            decision.version: decision.at
            for decision in decisions
            if decision.kind == RELEASE and decision.version is not None
        }
        self._records: dict[int, pb.ExportRecord] | None = None

    def of_version(self, version: int) -> _Model:
        """Returns the model of a version; its evaluation is None if it is not known."""
        known = self._known.get(version)
        if known is None or known.evaluation is None:
            if self._records is None:
                self._records = {record.version: record for record in self._read()}
            record = self._records.get(version)
            if record is None:
                return known or _Model(digest="", evaluation=None, version=version)
            known = _model_of_record(record)
            self._known[version] = known
        return known

    def is_released(self, version: int | None, at: float) -> bool:
        """Returns True if an operator had released a promoted version at a time."""
        return version in self._released and self._released[version] <= at

    def _model_of(self, decision: LoggedDecision) -> _Model:
        best = self._known.get(decision.best_version or -1)
        promotion = None
        if decision.kind == PROMOTE:
            promotion = pb.OperatorAction(operator=decision.operator)
            promotion.at.FromNanoseconds(int(decision.at * 1e9))
        is_forced = decision.reason == _R.Reason.Name(_R.FORCED)
        return _Model(
            digest=decision.candidate_digest,
            evaluation=_evaluation_of(decision),
            version=decision.version,
            exported_at=decision.at,
            promotion=promotion,
            replaced=best.digest if is_forced and best is not None else "",
        )

    def _read(self) -> Iterator[pb.ExportRecord]:
        for export in self._exports.exports():
            try:
                if self._exports.has_record(export):
                    yield self._exports.record(export)
            except (OSError, RecordError):
                continue
        for withdrawal in self._exports.withdrawals.all():
            if withdrawal.HasField("record"):
                yield withdrawal.record
        for tombstone in self._exports.tombstones():
            yield tombstone.record


def _model_of_record(record: pb.ExportRecord) -> _Model:
    is_forced = record.decision.reason == _R.FORCED
    has_time = record.HasField("exported_at")
    return _Model(
        digest=record.model.digest,
        evaluation=_dated(record.evaluation, timing.recorded_at(record)),
        version=record.version,
        exported_at=numbers.seconds_of(record.exported_at) if has_time else None,
        promotion=record.promotion if record.HasField("promotion") else None,
        replaced=record.decision.best.model.digest if is_forced else "",
    )


def _exported_candidate(logged: LoggedDecision) -> bool:
    return logged.exported and logged.reason != _R.Reason.Name(_R.CHALLENGER_BETTER)


def _replay(
    runs: Sequence[LoggedDecision],
    policy: Policy,
    models: _Models,
    *,
    has_function: bool,
) -> Iterator[BacktestRow]:
    best: _Model | None = None
    served: int | None = None
    is_first = True
    for logged in runs:
        if is_first or logged.best_version != served:
            # Somebody changed what is served, or a run was not logged.
            version = logged.best_version
            best = None if version is None else models.of_version(version)
            is_first = False
        is_released = best is not None and models.is_released(best.version, logged.at)
        row = _row(logged, best, policy, has_function=has_function, is_released=is_released)
        exports = logged.exported if row.would_export is None else row.would_export
        if row.would_export is None and logged.version is not None and exports:
            best = models.of_version(logged.version)
        elif exports:
            best = _Model(
                digest=logged.candidate_digest,
                evaluation=_evaluation_of(logged),
                version=logged.version if _exported_candidate(logged) else None,
                exported_at=logged.at,
            )
        served = logged.version if logged.exported else logged.best_version
        yield row


def _row(
    logged: LoggedDecision,
    best: _Model | None,
    policy: Policy,
    *,
    has_function: bool,
    is_released: bool,
) -> BacktestRow:
    def answer(reason: str, explanation: str, would_export: bool | None) -> BacktestRow:
        return BacktestRow(
            logged=logged, reason=reason, would_export=would_export, explanation=explanation
        )

    def cannot_tell(why: str) -> BacktestRow:
        return answer(CANNOT_TELL, why, None)

    if logged.reason == FAILED:
        return cannot_tell(f"the run failed: {logged.explanation}")
    if logged.reason in _ANY_POLICY:
        return answer(logged.reason, logged.explanation, False)
    if best is not None and best.digest and best.digest == logged.candidate_digest:
        # The log does not say how a model was exported, so only the real best can be compared.
        if logged.reason == _REEXPORTED and best.version == logged.best_version:
            return answer(logged.reason, logged.explanation, True)
    elif has_function:
        return cannot_tell("a compare function may read values that the log lacks")
    candidate = _evaluation_of(logged)
    if candidate is None:
        return cannot_tell("the log has no evaluation of the candidate")
    is_real = best is not None and best.version is not None and best.version == logged.best_version
    observation = Observation(
        candidate=Candidate(
            digest=logged.candidate_digest, eval_result=candidate, uri=logged.candidate_uri
        ),
        best=(
            None
            if best is None
            else _best_of(best, logged, candidate, is_real=is_real, is_released=is_released)
        ),
        latest_record=None if best is None else best.record,
    )
    is_same = best is not None and best.digest == logged.candidate_digest
    if best is not None and best.exported_at is None and _has_limits(policy) and not is_same:
        return cannot_tell("the log does not say when the best was exported")
    in_slices = [each for each in policy.guardrails if each.needs_slices]
    overall = tuple(each for each in policy.guardrails if not each.needs_slices)
    try:
        decision = decide(
            observation, dataclasses.replace(policy, guardrails=overall), now=logged.at
        )
    except (PathError, RuntimeError, TypeError) as error:
        return cannot_tell(str(error))
    name = _R.Reason.Name(decision.reason)
    if decision.reason == _R.NOT_COMPARABLE:
        # The best may have been evaluated again on the candidate's data.
        return cannot_tell(f"the log has no evaluation on the same data: {decision.explanation}")
    if not decision.is_export:
        return answer(name, decision.explanation, False)
    if in_slices:
        return cannot_tell("a guardrail looks at slices, and the log has the overall slice only")
    if logged.reason == _SIGNATURES_CHANGED and not policy.allow_signature_change:
        if is_real:
            return answer(_SIGNATURES_CHANGED, logged.explanation, False)
        return cannot_tell("the log has no serving signatures")
    return answer(name, decision.explanation, True)


def _has_limits(policy: Policy) -> bool:
    """Returns True if a decision of the policy depends on the time of the last export."""
    return bool(policy.min_seconds_between_exports or policy.max_best_age_seconds)


def _best_of(
    best: _Model,
    logged: LoggedDecision,
    candidate: EvalResult,
    *,
    is_real: bool,
    is_released: bool,
) -> Best:
    evaluation = best.evaluation
    if is_real and logged.reason not in _UNKNOWN_BEST:
        evaluation = _with_compared(best.evaluation, logged, candidate)
    is_same = evaluation is not None and candidate.data.is_same(evaluation.data)
    return Best(
        version=best.version or 0,
        digest=best.digest,
        eval_result=evaluation,
        basis=_SAME_DATA if is_same else _OTHER_DATA,
        record=best.record,
        is_released=is_released,
    )


def _with_compared(
    evaluation: EvalResult | None, logged: LoggedDecision, candidate: EvalResult
) -> EvalResult:
    """Returns the evaluation of the best with the values that the run has really compared.

    They may come from a second evaluation on the candidate's data.
    """
    keys = {str(key): key for key in candidate.metrics}
    compared = {
        keys[each.name]: MetricValue(value=each.best)
        for each in logged.metrics
        if each.best is not None and each.name in keys
    }
    if evaluation is None:
        return EvalResult(compared, data=candidate.data)
    changed = {
        key: value
        for key, value in compared.items()
        if (known := evaluation.find(key)) is None or known.value != value.value
    }
    if not changed:
        return evaluation
    return EvalResult(
        {**evaluation.metrics, **changed},
        uri=evaluation.uri,
        source=evaluation.source,
        example_count=evaluation.example_count,
        model_name=evaluation.model_name,
        data=candidate.data,
        evaluated_at=logged.at,
    )


def _evaluation_of(logged: LoggedDecision) -> EvalResult | None:
    """Returns the evaluation of a run's candidate; None if the log has none."""
    if not logged.evaluation:
        return None
    try:
        message = json_format.ParseDict(dict(logged.evaluation), pb.Evaluation())
        return _dated(message, logged.at)
    except (json_format.ParseError, ValueError):
        return None


def _dated(evaluation: pb.Evaluation, at: float | None) -> EvalResult:
    """Returns an evaluation whose age counts from a decision if its own time is not known."""
    dated = pb.Evaluation()
    dated.CopyFrom(evaluation)
    if at is not None and not dated.HasField("evaluated_at"):
        dated.evaluated_at.FromNanoseconds(int(at * 1e9))
    return EvalResult.from_proto(dated)
