import dataclasses
import math

import pytest

from tfx_best_exporter.executor.deciding.ledger import Measured, Row, merged

BEST = Measured(value=0.9)
CANDIDATE = Measured(value=0.91, standard_error=0.004, degrees_of_freedom=19)


def row(data: str = "a", **models: Measured) -> Row:
    return Row(data=data, example_count=2000, best="best", models={"best": BEST, **models})


class TestMeasured:
    @pytest.mark.parametrize(
        ("standard_error", "degrees_of_freedom", "expected"),
        [
            (0.004, 19, True),
            (0.0, math.inf, True),
            (None, 19, False),
            (math.nan, 19, False),
            (math.inf, 19, False),
            (-0.004, 19, False),
            (0.004, 0, False),
            (0.004, math.nan, False),
        ],
    )
    def test_has_error(self, standard_error, degrees_of_freedom, expected):
        measured = Measured(
            value=0.9, standard_error=standard_error, degrees_of_freedom=degrees_of_freedom
        )
        assert measured.has_error is expected


class TestIsUsable:
    @pytest.mark.parametrize(
        ("changed", "expected"),
        [
            ({}, True),
            ({"example_count": 0}, False),
            ({"example_count": math.inf}, False),
            ({"example_count": math.nan}, False),
            ({"best": "another"}, False),
            ({"models": {"best": BEST, "candidate": Measured(value=0.9)}}, False),
            ({"models": {"best": Measured(value=math.nan), "candidate": CANDIDATE}}, False),
            (
                {
                    "models": {
                        "best": BEST,
                        "candidate": dataclasses.replace(CANDIDATE, value=1e999),
                    }
                },
                False,
            ),
        ],
    )
    def test_needs_numbers_and_errors(self, changed, expected):
        assert dataclasses.replace(row(candidate=CANDIDATE), **changed).is_usable is expected


class TestMerged:
    def test_keeps_rows_on_different_data(self):
        rows = [row("a", x=CANDIDATE), row("b", x=CANDIDATE)]
        assert merged(rows) == rows

    def test_a_retried_run_changes_nothing(self):
        rows = [row("a", x=CANDIDATE), row("b", y=CANDIDATE)]
        assert merged([*rows, rows[-1]]) == rows

    def test_joins_models_on_the_same_data_at_the_last_place(self):
        first, second, third = row("a", x=CANDIDATE), row("b"), row("a", y=CANDIDATE)
        joined = row("a", x=CANDIDATE, y=CANDIDATE)
        assert merged([first, second, third]) == [second, joined]

    def test_the_new_value_counts(self):
        newer = dataclasses.replace(CANDIDATE, value=0.95, standard_error=0.01)
        (found,) = merged([row(x=CANDIDATE), row(x=newer)])
        assert found.models["x"] == newer

    def test_a_promoted_candidate_keeps_the_error_of_its_own_run(self):
        promoted = Row(
            data="a",
            example_count=2000,
            best="x",
            models={"x": Measured(value=0.92), "best": CANDIDATE},
        )
        (found,) = merged([row(x=CANDIDATE), promoted])
        assert found.best == "x"
        assert found.models["x"] == dataclasses.replace(CANDIDATE, value=0.92)
        assert found.models["best"] == CANDIDATE
