"""The worked example of docs/decisions/0021, computed by the code."""

import doctest
import re
from pathlib import Path

from tests.docs import examples
from tests.docs.worked_challengers import NAMES, row
from tfx_best_exporter.executor.deciding.challengers import choose

DOCUMENT = Path(__file__).parents[2] / "docs/decisions/0021-evidence-of-several-runs.md"


def test_the_example_is_what_the_code_computes():
    (text,) = re.findall(r"^```pycon\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.M | re.S)
    example = doctest.DocTestParser().get_doctest(text, {**NAMES}, DOCUMENT.name, None, None)
    found: list[tuple[str, str]] = []

    class Runner(doctest.DocTestRunner):
        def report_failure(self, out, test, example, got):
            found.append((example.want, got))

    problems: list[str] = []
    results = Runner().run(example, out=problems.append)
    assert results.attempted == 4
    assert not problems
    for want, got in found:
        examples.compare(DOCUMENT, want, got)


def test_the_numbers_in_the_text():
    monday, tuesday = row("1", best=0.9, x=0.907), row("2", best=0.88, x=0.889, y=0.884)
    found = choose([monday, tuesday], "best", challengers=2).found
    assert f"consistency is {found.consistency:.2f}" in " ".join(DOCUMENT.read_text().split())
