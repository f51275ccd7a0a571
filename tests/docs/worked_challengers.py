"""The functions of the worked example in docs/decisions/0021."""

from tfx_best_exporter.executor.deciding.challengers import Verdict, choose
from tfx_best_exporter.executor.deciding.ledger import Measured, Row


def row(data: str, *, best: float, **candidates: float) -> Row:
    """Returns a row with the errors that the document states."""
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


NAMES = {"row": row, "show": show, "choose": choose}
