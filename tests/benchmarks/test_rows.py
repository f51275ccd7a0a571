from __future__ import annotations

import pytest

from benchmarks import rows
from benchmarks.rows import Spread


class TestSpread:
    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ([3.0], Spread(lower=3.0, median=3.0, upper=3.0)),
            ([1.0, 3.0], Spread(lower=1.5, median=2.0, upper=2.5)),
            ([5.0, 1.0, 4.0, 2.0, 3.0], Spread(lower=2.0, median=3.0, upper=4.0)),
            ([1.0, 1.0, 1.0, 100.0], Spread(lower=1.0, median=1.0, upper=25.75)),
        ],
        ids=["one", "two", "unsorted", "outlier"],
    )
    def test_quartiles(self, values, expected):
        assert rows.spread_of(values) == expected


class TestRatio:
    def test_median_of_ratios_is_not_the_ratio_of_medians(self):
        row = rows.ratio_of("x", [(1.0, 1.0), (4.0, 2.0), (3.0, 4.0)], None)
        assert (row.ours, row.peer, row.found.median) == (3.0, 2.0, 1.0)
        assert row.pairs == 3

    def test_shown_with_quartiles(self):
        row = rows.ratio_of("x", [(1.0, 2.0), (2.0, 2.0), (3.0, 2.0)], 1.2)
        assert rows.show([row]).splitlines()[-1] == (
            "| x | 2 s | 2 s | 1.00 | 0.75 to 1.25 | 3 | 1.20 | met |"
        )


class TestDifference:
    def test_shown_with_its_unit(self):
        row = rows.difference_of("x", [(3.0, 1.0), (4.0, 1.0), (5.0, 1.0)], 2.5, unit="MiB")
        assert rows.show([row]).splitlines()[-1] == (
            "| x | 4 MiB | 1 MiB | +3.00 MiB | +2.50 MiB to +3.50 MiB | 3 | +2.50 MiB | missed |"
        )


class TestVerdict:
    @pytest.mark.parametrize(
        ("limit", "expected"),
        [(None, ""), (2.0, "met"), (1.99, "missed")],
        ids=["no limit", "at the limit", "above"],
    )
    def test_of_the_median(self, limit, expected):
        # The upper quartile exceeds all limits, but only the median counts.
        row = rows.ratio_of("x", [(1.0, 1.0), (2.0, 1.0), (9.0, 1.0)], limit)
        assert row.verdict == expected
