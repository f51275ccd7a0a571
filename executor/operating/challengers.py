"""Challengers of a base directory: refused models that the next runs measure again."""

from __future__ import annotations

import dataclasses
import math

from tfx_best_exporter.executor.deciding import challengers as evidence
from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.deciding.challengers import Form, Standing, Terms
from tfx_best_exporter.executor.deciding.eval_result import MetricKey
from tfx_best_exporter.executor.deciding.rules import MetricRule
from tfx_best_exporter.executor.deciding.significance import DEFAULT_ALPHA
from tfx_best_exporter.executor.deciding.standing_text import text_of
from tfx_best_exporter.executor.exports import records
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.running import ledger_rows
from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeptChallenger:
    """A refused model that the next run measures again.

    Attributes:
        digest: Content digest.
        model_uri: URI of its Model.
        run_id: Run that trained it; empty if it is not known.
        trained_at: Time of that run, in seconds since the epoch; None if it is not known.
        size_bytes: Total size of its files.
        run_count: Number of runs that measured it; 0 without evidence.
        value: Value in the last run; None without evidence.
        gain: Estimated improvement over the served version; None without evidence.
        gain_error: Standard error of the gain; None without evidence.
        chance_no_better: Chance that it is no better than required; None without evidence.
        alpha: Largest allowed chance; None without evidence.
        log_e_value: Natural logarithm of the e-value; None unless the test has a guarantee.
        explanation: The evidence as a clause; empty without evidence.
    """

    digest: str
    model_uri: str
    run_id: str
    trained_at: float | None
    size_bytes: int
    run_count: int = 0
    value: float | None = None
    gain: float | None = None
    gain_error: float | None = None
    chance_no_better: float | None = None
    alpha: float | None = None
    log_e_value: float | None = None
    explanation: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The runs that trained and exported a model.

    Attributes:
        exporting: Run that exported it; empty if it is not known.
        earlier: Run that trained it, if another run exported it; empty otherwise.
    """

    exporting: str
    earlier: str = ""


def runs_of(decision: pb.ExportDecision, provenance: pb.Provenance) -> Runs:
    """Returns the runs of an export.

    The record of an exported challenger has the run that trained it. The evidence names the other
    one.

    Args:
        decision: The decision in the record of the export.
        provenance: The pipeline and run in the record.
    """
    if not decision.HasField("exported_challenger"):
        return Runs(exporting=provenance.run_id)
    standings = decision.challenger_evidence.standings
    exporting = next((each.run_id for each in standings if each.is_candidate), "")
    return Runs(exporting=exporting, earlier=provenance.run_id)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Ledger:
    """The evidence of the last runs, compared with the version that is served now."""

    rule: MetricRule
    terms: Terms
    values: dict[str, float]
    standings: dict[str, Standing]


def challengers_of(exports: ExportDirectory, best_digest: str) -> tuple[KeptChallenger, ...]:
    """Returns the challengers of a base directory, the largest gain first.

    The evidence is that of the ledger, by the policy of the run that kept a challenger last. A
    challenger has none if the last run did not measure it together with the version that is served.

    Args:
        exports: The base directory.
        best_digest: Content digest of the model that is served; empty if it is not known.

    Raises:
        OSError: The base directory cannot be read.
    """
    found = exports.challengers.all()
    if not found:
        return ()
    newest = max(found, key=lambda each: each.kept_at.ToNanoseconds())
    ledger = _ledger_of(exports, newest.record, best_digest)
    rows = [_challenger(each.record, ledger) for each in found]
    return tuple(
        sorted(rows, key=lambda each: -math.inf if each.gain is None else each.gain, reverse=True)
    )


def _ledger_of(
    exports: ExportDirectory, record: pb.ExportRecord, best_digest: str
) -> _Ledger | None:
    """Returns the evidence by the policy in a record; None if there is none."""
    policy = record.decision.compare_policy.metric
    rule = MetricRule(
        key=MetricKey.from_proto(policy.metric),
        direction=policy.direction,
        min_absolute_change=policy.min_absolute_change,
        min_relative_change=policy.min_relative_change,
    )
    ledger, _ = exports.challengers.ledger(
        record.evaluation.data.eval_config_digest,
        pb.MetricRule(metric=rule.key.to_proto(), direction=rule.direction),
    )
    if not ledger.rows:
        return None
    values = {each.digest: each.value for each in ledger.rows[-1].models}
    if best_digest not in values:
        return None
    test = policy.significance
    terms = Terms(
        alpha=test.alpha if test.HasField("alpha") else DEFAULT_ALPHA,
        required=rule.required_of(values[best_digest]),
        form=Form.GUARANTEED if test.guarantee else Form.CALIBRATED,
    )
    rows = [ledger_rows.to_row(row, rule.direction) for row in ledger.rows]
    standings = evidence.standings_of(rows, best_digest, terms).standings
    return _Ledger(rule=rule, terms=terms, values=values, standings={**standings})


def _challenger(record: pb.ExportRecord, ledger: _Ledger | None) -> KeptChallenger:
    known = KeptChallenger(
        digest=record.model.digest,
        model_uri=record.model.uri,
        run_id=record.provenance.run_id,
        trained_at=(
            numbers.seconds_of(record.exported_at) if record.HasField("exported_at") else None
        ),
        size_bytes=records.size_of(record),
    )
    if ledger is None or known.digest not in ledger.standings:
        return known
    standing, value = ledger.standings[known.digest], ledger.values[known.digest]
    return dataclasses.replace(
        known,
        run_count=standing.run_count,
        value=value,
        gain=standing.gain,
        gain_error=standing.error,
        chance_no_better=standing.chance_no_better,
        alpha=ledger.terms.alpha,
        log_e_value=standing.log_e_value,
        explanation=text_of(standing, ledger.terms, ledger.rule.key, value),
    )
