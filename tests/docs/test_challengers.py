"""The worked examples of docs/challengers.md and docs/decisions/0021, computed by the code."""

import doctest
import math
import re
from pathlib import Path

import pytest

from tests.docs import examples
from tests.docs.worked_challengers import NAMES, row
from tfx_best_exporter.executor.deciding import significance
from tfx_best_exporter.executor.deciding.challengers import choose

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "challengers.md"
DECISION = DOCS / "decisions/0021-evidence-of-several-runs.md"


def words_of(document: Path) -> str:
    return " ".join(document.read_text(encoding="utf-8").split())


@pytest.mark.parametrize(("document", "count"), [(PAGE, 6), (DECISION, 4)], ids=["page", "0021"])
def test_the_example_is_what_the_code_computes(document: Path, count: int):
    (text,) = re.findall(r"^```pycon\n(.*?)^```", document.read_text(encoding="utf-8"), re.M | re.S)
    example = doctest.DocTestParser().get_doctest(text, {**NAMES}, document.name, None, None)
    found: list[tuple[str, str]] = []

    class Runner(doctest.DocTestRunner):
        def report_failure(self, out, test, example, got):
            found.append((example.want, got))

    problems: list[str] = []
    results = Runner().run(example, out=problems.append)
    assert results.attempted == count
    assert not problems
    for want, got in found:
        examples.compare(document, want, got)


def test_the_numbers_in_the_text_of_the_decision():
    monday, tuesday = row("1", best=0.9, x=0.907), row("2", best=0.88, x=0.889, y=0.884)
    found = choose([monday, tuesday], "best", challengers=2).found
    text = words_of(DECISION)
    assert f"consistency is {found.consistency:.2f}" in text
    difference = found.standings["y"].difference
    assert f"not 0.004 but {difference:.4f}" in text
    assert f"compared with {0.884 - difference:.4f}" in text


def test_the_numbers_in_the_text_of_the_page():
    monday, tuesday = row("1", best=0.9, x=0.906), row("2", best=0.88, x=0.886, y=0.884)
    wednesday = row("3", best=0.91, x=0.919, y=0.912, z=0.908)
    text = words_of(PAGE)
    first = choose([monday], "best", challengers=2)
    x = first.found.standings["x"]
    assert f"the error of the difference of {x.difference:.3f} is {x.difference_error:.4f}" in text
    assert x.difference_error == pytest.approx(0.004 * math.sqrt(19 / 17))
    assert x.gain == pytest.approx(x.difference / 2)
    second = choose([monday, tuesday], "best", challengers=2)
    x = second.found.standings["x"]
    assert f"Its gain grows to {x.gain:.4f}" in text
    assert f"{x.gain / x.difference:.2f} times the difference instead of 0.5" in text
    assert f"The chance of {100 * x.chance_no_better:.1f} % is still too large" in text
    alone = significance.chance_no_better(0.006, 0.004, 19)
    assert f"chances of {100 * alone:.1f} % each" in text
    third = choose([monday, tuesday, wednesday], "best", challengers=2)
    assert (third.serve, third.challengers) == ("x", ())
    after = choose([monday, tuesday, wednesday], "x", challengers=2).found.standings["y"]
    chance = 100 - 100 * after.chance_no_better
    assert f"chance of being better than x, the new best, is only {chance:.0f} %" in text
