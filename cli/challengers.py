"""Tables of challengers: those of a base directory, and the evidence of a decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfx_best_exporter.cli import output
from tfx_best_exporter.executor.deciding import numbers, standing_text

if TYPE_CHECKING:
    from tfx_best_exporter.executor.operating.challengers import KeptChallenger
    from tfx_best_exporter.proto import best_exporter_pb2 as pb

_COLUMNS = ("TRAINED IN", "DATE", "RUNS>", "GAIN>", "NO BETTER>")
_COLUMNS_WITH_E_VALUE = (*_COLUMNS[:-1], "E-VALUE>")
# Enough digits for a command, if two models do not share them.
_DIGITS = len("sha256:") + 12


def print_kept(challengers: Sequence[KeptChallenger]) -> None:
    """Prints the challengers of a base directory."""
    has_e_value = any(each.log_e_value is not None for each in challengers)
    columns = _COLUMNS_WITH_E_VALUE if has_e_value else _COLUMNS
    output.table(
        (*columns, "CHALLENGER", "WHY"),
        (
            (
                each.run_id or "-",
                output.date(each.trained_at),
                str(each.run_count),
                _gain(each.gain, each.gain_error),
                _chance(each.chance_no_better, each.log_e_value, each.alpha),
                each.digest[:_DIGITS],
                each.explanation or "no run has measured it with the version that is served",
            )
            for each in challengers
        ),
    )


def print_evidence(evidence: pb.ChallengerEvidence) -> None:
    """Prints the evidence of a decision on its candidate and on the challengers."""
    from tfx_best_exporter.proto import best_exporter_pb2 as messages

    columns = _COLUMNS_WITH_E_VALUE if evidence.guarantee else _COLUMNS
    output.table(
        (*columns, "NEXT", "WHY"),
        (
            (
                f"{each.run_id or '-'}{' (candidate)' if each.is_candidate else ''}",
                output.date(
                    numbers.seconds_of(each.trained_at) if each.HasField("trained_at") else None
                ),
                str(each.run_count),
                _gain(each.gain, each.gain_error),
                _chance(
                    each.chance_no_better,
                    each.log_e_value if each.HasField("log_e_value") else None,
                    evidence.alpha,
                ),
                messages.ModelStanding.Next.Name(each.next).lower() if each.next else "-",
                each.why,
            )
            for each in evidence.standings
        ),
    )


def _gain(gain: float | None, error: float | None) -> str:
    if gain is None or error is None:
        return "-"
    return " ± ".join(standing_text.with_error(gain, error))


def _chance(chance: float | None, log_e_value: float | None, alpha: float | None) -> str:
    if chance is None or alpha is None:
        return "-"
    if log_e_value is not None:
        return standing_text.e_values(log_e_value, alpha)[0]
    return standing_text.chances(chance, alpha)[0]
