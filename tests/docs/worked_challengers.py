"""The functions of the worked examples in docs/challengers.md and docs/decisions/0021."""

from collections.abc import Sequence

from tfx_best_exporter.executor.deciding import significance
from tfx_best_exporter.executor.deciding.challengers import Verdict, choose
from tfx_best_exporter.executor.deciding.ledger import Measured, Row
from tfx_best_exporter.executor.deciding.standing_text import consistency_text, standing_text


def row(data: str, *, best: float, **candidates: float) -> Row:
    """Returns a row with the errors that the documents state."""
    models = {
        name: Measured(value=value, standard_error=0.004, degrees_of_freedom=19)
        for name, value in candidates.items()
    }
    models["best"] = Measured(value=best)
    return Row(data=data, example_count=2000, best="best", models=models)


class Shown(str):
    """A text that the interpreter shows without quotes."""

    __repr__ = str.__str__


def show(verdict: Verdict) -> Shown:
    """Returns the standings and the verdict."""
    lines = [
        f"{each.digest}: measured {each.run_count} time{'s' if each.run_count > 1 else ''},"
        f" difference {each.difference:.4f} +- {each.difference_error:.4f},"
        f" gain {each.gain:.4f} +- {each.error:.4f},"
        f" no better with {100 * each.chance_no_better:.1f} %"
        for each in verdict.found.standings.values()
    ]
    kept = " and ".join(verdict.challengers) or "nothing"
    return Shown("\n".join([*lines, f"serve {verdict.serve}, keep {kept}"]))


def evidence_of(rows: Sequence[Row], alpha: float = significance.DEFAULT_ALPHA) -> Shown:
    """Returns the sentences of a report on these rows, with two challengers."""
    verdict = choose(rows, "best", alpha=alpha, challengers=2)
    lines = []
    for digest, each in verdict.found.standings.items():
        text = standing_text(
            "auc",
            rows[-1].models[digest].value,
            run_count=each.run_count,
            gain=each.gain,
            gain_error=each.error,
            chance_no_better=each.chance_no_better,
            alpha=alpha,
        )
        fate = "dropped"
        if digest in (verdict.serve, *verdict.challengers):
            fate = "exported" if digest == verdict.serve else "kept"
        lines.append(f"{digest} is {fate}: {text}")
    if len(rows) > 1:
        lines.append(consistency_text(verdict.found.consistency))
    return Shown("\n".join(lines))


NAMES = {"row": row, "show": show, "choose": choose, "evidence_of": evidence_of}
