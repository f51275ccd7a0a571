import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from scipy import integrate, stats

from tests.executor.deciding.decided import evaluation, interval, rule_of
from tfx_best_exporter.executor.deciding.challengers import Evidence, Form, Verdict, choose
from tfx_best_exporter.executor.deciding.ledger import Measured, Row
from tfx_best_exporter.executor.deciding.rules import Outcome
from tfx_best_exporter.executor.policies import compare_policy, larger

GOLDEN = json.loads((Path(__file__).parent / "challengers.json").read_text())
ERROR = 0.004
# Variance of a difference in a run of ERROR with 19 degrees of freedom.
VARIANCE = ERROR**2 * 19 / 17


def measured(value: float, error: float | None = None, degrees: float = 19) -> Measured:
    return Measured(value=value, standard_error=error, degrees_of_freedom=degrees)


def row(data: str, best: str = "b", *, error: float | None = ERROR, **gains: float) -> Row:
    """Returns a row with the best at 0.9 and other models at their gain above it."""
    others = {digest: measured(0.9 + gain, error) for digest, gain in gains.items()}
    return Row(data=data, example_count=2000, best=best, models={best: measured(0.9), **others})


def stored_row(stored: dict[str, Any]) -> Row:
    errors = stored["errors"]
    return Row(
        data=stored["data"],
        example_count=stored["examples"],
        best=stored["best"],
        models={
            digest: measured(value, *errors.get(digest, [None]))
            for digest, value in stored["values"].items()
        },
    )


class TestGoldenLedgers:
    """Verdicts on random ledgers, computed by another implementation with matrices."""

    @pytest.mark.parametrize("golden", GOLDEN, ids=range(len(GOLDEN)))
    def test_verdict(self, golden):
        expected = golden["expected"]
        found = choose(
            [stored_row(each) for each in golden["ledger"]],
            golden["best"],
            alpha=golden["alpha"],
            challengers=golden["challengers"],
        )
        assert found.serve == expected["serve"]
        assert list(found.challengers) == expected["keep"]
        assert found.found.evidence is Evidence.POOLED
        assert found.found.consistency == pytest.approx(expected["consistency"], abs=1e-9)
        assert found.found.standings.keys() == expected["standings"].keys()
        for digest, numbers in expected["standings"].items():
            standing = found.found.standings[digest]
            assert {name: getattr(standing, name) for name in numbers} == pytest.approx(
                numbers, abs=1e-9
            )

    def test_ledgers_differ(self):
        promoted = [each["expected"]["serve"] != each["best"] for each in GOLDEN]
        assert {*promoted} == {True, False}
        assert any(each["expected"]["consistency"] > 1 for each in GOLDEN)
        assert any(each["expected"]["consistency"] < 1 for each in GOLDEN)


class TestPairedTestOfOneRun:
    @pytest.mark.parametrize("seed", range(40))
    def test_without_challengers_it_is_the_metric_rule(self, seed):
        rng = random.Random(seed)
        alpha, by = rng.choice([0.01, 0.05, 0.2]), rng.choice([0.0, 0.002])
        error, degrees = rng.choice([0.0, 0.002, 0.005]), rng.choice([19.0, 3.5, math.inf])
        best, value = 0.9, 0.9 + rng.gauss(0.004, 0.006)
        together = evaluation(
            {"auc": value},
            differences={
                "auc": interval(value - best, error, None if math.isinf(degrees) else degrees)
            },
        )
        rule = rule_of(compare_policy(larger("auc", alpha=alpha, by=by)))
        expected = rule.compare(
            best=evaluation({"auc": best}), candidate=together, together=together
        )
        models = {"best": measured(best), "candidate": measured(value, error, degrees)}
        ledger = [Row(data="a", example_count=2000, best="best", models=models)]
        # Earlier rows do not matter.
        earlier = row("earlier", "best", candidate=0.5)
        for rows in (ledger, [earlier, *ledger]):
            found = choose(rows, "best", alpha=alpha, challengers=0, required=by)
            assert found.found.evidence is Evidence.LAST_RUN
            assert (found.serve == "candidate") is (expected.outcome is Outcome.BETTER)
            assert found.challengers == ()
            standing = found.found.standings["candidate"]
            assert standing.difference == value - best
            assert standing.difference_error == error
            test = expected.comparisons[0].significance
            if test is not None:
                assert standing.is_significant is test.is_significant
                assert (standing.chance_no_better < alpha) is test.is_significant

    @pytest.mark.parametrize(
        ("error", "degrees", "serve"),
        [
            # Student's t of one degree of freedom has a 95 % quantile of 6.31.
            (0.004, 1.0, "x"),
            (0.005, 1.0, "b"),
            (0.0, 19.0, "x"),
            (None, 19.0, "b"),
            (math.nan, 19.0, "b"),
        ],
        ids=["few degrees", "few degrees, noisy", "no noise", "no error", "NaN"],
    )
    def test_decides_if_the_noise_is_not_known(self, error, degrees, serve):
        models = {"b": measured(0.9), "x": measured(0.93, error, degrees)}
        ledger = [Row(data="a", example_count=2000, best="b", models=models)]
        found = choose(ledger, "b", challengers=2)
        assert found.found.evidence is Evidence.LAST_RUN
        assert found.found.consistency == 1
        assert found.serve == serve

    def test_a_replaced_best_is_compared_with_the_model_that_replaced_it(self):
        models = {"b": measured(0.9), "x": measured(0.93, 0.01, 2)}
        found = choose(
            [Row(data="a", example_count=2000, best="b", models=models)],
            "b",
            alpha=0.2,
            challengers=2,
        )
        assert (found.serve, found.challengers) == ("x", ())

    def test_a_row_without_errors_is_not_used(self):
        rows = [row("a", x=0.5, error=None), row("b", x=0.004)]
        assert choose(rows, "b", challengers=2) == choose(rows[1:], "b", challengers=2)

    def test_a_best_alone_stays(self):
        found = choose([row("a")], "b", challengers=2)
        assert (found.serve, found.challengers) == ("b", ())
        assert not found.found.standings


class TestStanding:
    def test_of_one_run_is_shrunken_by_half(self):
        standing = choose([row("a", x=0.01)], "b", challengers=2).found.standings["x"]
        assert standing.difference == pytest.approx(0.01)
        assert standing.difference_error == pytest.approx(math.sqrt(VARIANCE))
        assert standing.gain == pytest.approx(0.005)
        assert standing.error == pytest.approx(math.sqrt(VARIANCE / 2))
        assert standing.chance_no_better == pytest.approx(
            stats.norm.sf(0.005, scale=math.sqrt(VARIANCE / 2))
        )
        assert standing.run_count == 1
        assert standing.log_e_value is None

    def test_expected_gain_is_an_integral(self):
        standing = choose([row("a", x=-0.002)], "b", challengers=2).found.standings["x"]
        expected, _ = integrate.quad(
            lambda gain: gain * stats.norm.pdf(gain, standing.gain, standing.error), 0, 0.1
        )
        assert standing.expected_gain == pytest.approx(expected)

    @pytest.mark.parametrize("gains", [(0.01, 0.01), (0.02, 0.0)])
    def test_the_consistency_of_the_runs_scales_the_error(self, gains):
        rows = [row(str(index), x=gain) for index, gain in enumerate(gains)]
        found = choose(rows, "b", challengers=2).found
        degrees = 1.9 * 19
        one_run = ERROR**2 * degrees / (degrees - 2)
        # Two runs leave one degree of freedom: the difference between their differences.
        consistency = (10 + (gains[0] - gains[1]) ** 2 / (2 * one_run)) / 11
        assert found.consistency == pytest.approx(consistency)
        variance = consistency * one_run / 2 + max(1 - consistency, 0) * one_run
        assert found.standings["x"].difference_error == pytest.approx(math.sqrt(variance))
        assert found.standings["x"].gain == pytest.approx(
            found.standings["x"].difference * one_run / (one_run + variance)
        )

    def test_data_that_repeat_under_new_names_are_noticed(self):
        """Equal differences in each of 40 runs do not make a difference more certain than one."""
        rows = [row(str(index), x=0.004, y=0.001) for index in range(40)]
        found = choose(rows, "b", challengers=2).found
        assert found.consistency < 0.15
        assert found.standings["x"].difference_error > 0.8 * math.sqrt(VARIANCE)

    def test_the_difficulty_of_a_run_does_not_matter(self):
        shifted = row("a", x=0.01)
        models = {
            digest: measured(each.value - 0.3, each.standard_error)
            for digest, each in shifted.models.items()
        }
        easy, hard = shifted, Row(data="a", example_count=2000, best="b", models=models)
        found, expected = (
            choose([each, row("c", x=0.008)], "b", challengers=2).found.standings["x"]
            for each in (hard, easy)
        )
        assert found.gain == pytest.approx(expected.gain)
        assert found.error == pytest.approx(expected.error)

    def test_numbers_at_the_ends_of_the_range_promote_nothing(self):
        for value, error in [(1e300, 1e90), (1e300, 1e-90), (-1e308, 1e-90), (1e308, 1e100)]:
            models = {"b": measured(0.0), "x": measured(-abs(value), error)}
            rows = [Row(data="a", example_count=2000, best="b", models=models)]
            assert choose(rows, "b", challengers=2).serve == "b"
            assert choose(rows, "b", challengers=2, form=Form.GUARANTEED).serve == "b"


class TestChoose:
    def test_evidence_of_several_runs_promotes_what_one_run_does_not(self):
        rows = [row(name, x=0.006) for name in "abc"]
        assert [choose(rows[:count], "b", challengers=2).serve for count in (1, 2, 3)] == [
            "b",
            "b",
            "x",
        ]

    def test_promotes_the_significant_model_with_the_largest_gain(self):
        rows = [row(name, x=0.02, y=0.03) for name in "abc"]
        assert choose(rows, "b", challengers=2).serve == "y"

    def test_a_larger_gain_that_is_not_significant_does_not_win(self):
        rows = [*(row(name, x=0.01) for name in "abcd"), row("e", x=0.01, new=0.0115)]
        found = choose(rows, "b", challengers=2, alpha=0.04)
        standings = found.found.standings
        assert standings["new"].difference > standings["x"].difference
        assert found.serve == "x"

    def test_required_raises_the_limit(self):
        rows = [row(name, x=0.012) for name in "abcd"]
        assert choose(rows, "b", challengers=2).serve == "x"
        assert choose(rows, "b", challengers=2, required=0.01).serve == "b"

    def test_a_retried_run_changes_nothing(self):
        rows = [row("a", x=0.01, y=0.001), row("c", x=0.007, z=0.002)]
        once = choose(rows, "b", challengers=2)
        assert choose([*rows, rows[-1]], "b", challengers=2) == once

    def test_the_same_data_count_once(self):
        once = choose([row("a", x=0.008)], "b", challengers=2)
        assert choose([row("a", x=0.008)] * 5, "b", challengers=2) == once
        assert once.serve == "b"

    def test_challengers_have_the_largest_expected_gain(self):
        found = choose([row("a", w=-0.02, x=0.001, y=0.004, z=0.002)], "b", challengers=2)
        assert found.challengers == ("y", "z")

    @pytest.mark.parametrize(("chance", "expected"), [(0.799, ("x",)), (0.801, ())])
    def test_a_hopeless_model_is_no_challenger(self, chance, expected):
        gain = -stats.norm.ppf(chance) * math.sqrt(2 * VARIANCE)
        found = choose([row("a", x=gain)], "b", challengers=3)
        assert found.found.standings["x"].chance_no_better == pytest.approx(chance)
        assert found.challengers == expected

    def test_a_replaced_best_is_a_challenger_if_it_may_be_better(self):
        rows = [row("1", x=0.003, y=0.001)]
        found = choose(rows, "b", challengers=2, alpha=0.4)
        assert (found.serve, found.challengers) == ("x", ("y", "b"))

    def test_a_promotion_is_taken_back_by_the_same_steps(self):
        rows = [row("0", x=0.003)]
        assert choose(rows, "b", challengers=2, alpha=0.4).serve == "x"
        rows += [row(name, "x", b=0.01) for name in "123"]
        assert choose(rows, "x", challengers=2).serve == "b"

    @pytest.mark.parametrize("alpha", [0.05, 0.4])
    def test_barred_models_are_neither_promoted_nor_kept(self, alpha):
        rows = [row("a", x=0.02, y=0.01, z=0.0)]
        found = choose(rows, "b", challengers=3, alpha=alpha, barred={"x"})
        assert found.serve != "x"
        assert "x" not in found.challengers
        assert "x" in found.found.standings

    def test_rows_that_are_not_connected_make_the_errors_larger(self):
        strangers = [
            Row(
                data=f"s{index}",
                example_count=2000,
                best=f"p{index}",
                models={f"p{index}": measured(0.5), f"q{index}": measured(0.6, ERROR)},
            )
            for index in range(30)
        ]
        alone = choose([row("a", x=0.01)], "b", challengers=2).found.standings["x"]
        found = choose([*strangers, row("a", x=0.01)], "b", challengers=2).found.standings["x"]
        assert found.difference == pytest.approx(alone.difference)
        assert found.difference_error > alone.difference_error


class TestGuarantee:
    def found(self, rows: list[Row], **kwargs: Any) -> Verdict:
        return choose(rows, "b", challengers=2, form=Form.GUARANTEED, **kwargs)

    @pytest.mark.parametrize("gain", [-0.05, 0.0, 0.004, 0.02])
    @pytest.mark.parametrize("required", [0.0, 0.003])
    def test_e_value_is_a_mean_of_likelihood_ratios(self, gain, required):
        standing = self.found([row("a", x=gain)], required=required).found.standings["x"]
        prior, error = stats.halfnorm(scale=math.sqrt(VARIANCE)), math.sqrt(VARIANCE)
        excess = gain - required
        expected, _ = integrate.quad(
            lambda size: (
                prior.pdf(size)
                * stats.norm.pdf(excess, size, error)
                / stats.norm.pdf(excess, 0, error)
            ),
            0,
            12 * error,
            epsrel=1e-10,
        )
        assert standing.log_e_value is not None
        assert math.exp(standing.log_e_value) == pytest.approx(expected, rel=1e-6)

    def test_promotes_from_one_over_alpha(self):
        rows = [row("a", x=0.014)]
        value = self.found(rows).found.standings["x"].log_e_value
        assert value is not None
        limit = math.exp(-value)
        assert self.found(rows, alpha=limit * 1.001).serve == "x"
        assert self.found(rows, alpha=limit * 0.999).serve == "b"

    def test_needs_more_evidence_than_the_calibrated_form(self):
        rows = [row(name, x=0.006) for name in "abc"]
        assert choose(rows, "b", challengers=2).serve == "x"
        assert self.found(rows).serve == "b"
        more = [row(str(index), x=gain) for index, gain in enumerate([0.002, 0.01] * 4)]
        assert self.found(more).serve == "x"

    def test_models_that_are_no_better_rarely_pass_at_any_look(self):
        """By Ville's inequality: 20 looks at each of 600 models, at alpha 0.2."""
        rng, passed, streams = random.Random(3), 0, 600
        for _ in range(streams):
            rows = []
            for look in range(20):
                gain = rng.gauss(0, ERROR)
                models = {"b": measured(0.9), "x": measured(0.9 + gain, ERROR, math.inf)}
                rows.append(Row(data=str(look), example_count=2000, best="b", models=models))
                if self.found(rows, alpha=0.2).serve == "x":
                    passed += 1
                    break
        # The consistency is estimated, so the bound is not exact.
        assert passed / streams <= 0.2 + 3 * math.sqrt(0.2 * 0.8 / streams)
        assert passed / streams > 0.02
