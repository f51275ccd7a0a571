from __future__ import annotations

import dataclasses
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from scipy import stats

from benchmarks import charts, decision_quality, results, rules, streams
from benchmarks.decision_quality import Interval, Target, ratio_of, replay
from benchmarks.streams import BUCKETS, CANDIDATES, Estimates, Scenario
from tfx_best_exporter.proto import best_exporter_pb2 as pb

RECORDED = pb.ExportDecision.RECORDED_OTHER_DATA
TOGETHER = pb.ExportDecision.SAME_EVALUATION
SMALL = Scenario(name="small", examples=200, rise=0.03, drift=0.02)


def estimates(*values: float, error: float = 0.01) -> Estimates:
    return Estimates(value=np.array(values), standard_error=np.full(len(values), error))


def seen(*, candidate: float, best: float, recorded: float) -> rules.Run:
    return rules.Run(
        candidate=estimates(candidate),
        best=estimates(best),
        difference=estimates(candidate - best),
        recorded=estimates(recorded),
        candidate_quality=np.array([0.8]),
        best_quality=np.array([0.8]),
        true_standard_error=np.array([0.01]),
    )


class TestExamples:
    @pytest.fixture
    def rights(self):
        # Each bucket has one example, so the counts are the examples.
        scenario = Scenario(name="", examples=BUCKETS)
        examples = streams.Examples(scenario, 10_000, np.random.default_rng(1))
        accuracy = np.full(10_000, 0.8)
        return (
            examples.candidate_right(accuracy).ravel(),
            examples.best_right(accuracy).ravel(),
        )

    def test_correctness_of_two_models_correlates(self, rights):
        assert np.corrcoef(*rights)[0, 1] == pytest.approx(0.8, abs=0.005)

    def test_each_model_has_its_accuracy(self, rights):
        assert [right.mean() for right in rights] == pytest.approx([0.8, 0.8], abs=0.004)

    def test_accuracies_may_differ(self):
        examples = streams.Examples(Scenario(name="", examples=20_000), 2, np.random.default_rng(2))
        right = examples.best_right(np.array([0.7, 0.9])).sum(axis=1) / 20_000
        assert right.tolist() == pytest.approx([0.7, 0.9], abs=0.01)

    @pytest.mark.parametrize("second", [0.8, 0.75, 0.95])
    def test_both_right_is_the_bivariate_normal(self, second):
        latent = 0.96
        thresholds = stats.norm.ppf([0.8, second])
        expected = stats.multivariate_normal.cdf(thresholds, cov=[[1, latent], [latent, 1]])
        assert streams.both_right(0.8, second, latent) == pytest.approx(expected, abs=1e-5)


class TestJackknife:
    def test_is_what_leaving_out_each_bucket_gives(self):
        counts = np.random.default_rng(3).integers(0, 11, size=(1, BUCKETS))
        examples = 10 * BUCKETS
        mean = counts.sum() / examples
        without = [(counts.sum() - count) / (examples - 10) for count in counts[0]]
        pseudo_values = [BUCKETS * mean - (BUCKETS - 1) * each for each in without]
        found = streams.jackknife(counts, examples)
        assert found.value[0] == pytest.approx(mean)
        assert found.standard_error[0] == pytest.approx(stats.sem(pseudo_values))

    def test_estimates_the_true_error_of_a_paired_difference(self):
        scenario = Scenario(name="", examples=2000)
        examples = streams.Examples(scenario, 200, np.random.default_rng(4))
        accuracy = np.full(200, 0.8)
        counts = examples.candidate_right(accuracy) - examples.best_right(accuracy)
        found = streams.jackknife(counts, 2000)
        expected = math.sqrt(2 * 0.8 * 0.2 * (1 - 0.8) / 2000)
        assert math.sqrt((found.standard_error**2).mean()) == pytest.approx(expected, rel=0.05)


class TestRules:
    @pytest.mark.parametrize(
        ("rule", "values", "expected"),
        [
            (rules.tf_estimator, {"candidate": 0.8, "best": 0.9, "recorded": 0.79}, True),
            (rules.tf_estimator, {"candidate": 0.8, "best": 0.7, "recorded": 0.8}, False),
            (rules.orbax_best_fn, {"candidate": 0.8, "best": 0.9, "recorded": 0.8}, True),
            (rules.orbax_best_fn, {"candidate": 0.8, "best": 0.7, "recorded": 0.81}, False),
            (rules.tfma_change_threshold, {"candidate": 0.8, "best": 0.8, "recorded": 0.9}, True),
            (
                rules.tfma_change_threshold,
                {"candidate": 0.8, "best": 0.8001, "recorded": 0.7},
                False,
            ),
            (
                rules.MlflowThreshold(0.25),
                {"candidate": 0.75, "best": 0.9, "recorded": 0.5},
                True,
            ),
            (
                rules.MlflowThreshold(0.25),
                {"candidate": 0.74, "best": 0.1, "recorded": 0.5},
                False,
            ),
            (rules.ours(RECORDED), {"candidate": 0.8, "best": 0.9, "recorded": 0.79}, True),
            (rules.ours(RECORDED), {"candidate": 0.8, "best": 0.7, "recorded": 0.8}, False),
            (rules.ours(TOGETHER), {"candidate": 0.8, "best": 0.79, "recorded": 0.9}, True),
            (rules.ours(TOGETHER), {"candidate": 0.8, "best": 0.8, "recorded": 0.7}, False),
            # The quantile of Student's t with 19 degrees of freedom is 1.729.
            (rules.ours(TOGETHER, 0.05), {"candidate": 0.8, "best": 0.78, "recorded": 0.9}, True),
            (rules.ours(TOGETHER, 0.05), {"candidate": 0.8, "best": 0.783, "recorded": 0}, False),
            # The standard error of the unpaired test is larger by the square root of 2.
            (
                rules.ours(pb.ExportDecision.RECORDED_SAME_DATA, 0.05),
                {"candidate": 0.8, "best": 0.78, "recorded": 0.9},
                False,
            ),
            (
                rules.ours(TOGETHER, min_absolute_change=0.03),
                {"candidate": 0.8, "best": 0.78, "recorded": 0},
                False,
            ),
        ],
    )
    def test_promotes(self, rule, values, expected):
        assert rule(seen(**values)).tolist() == [expected]

    @pytest.mark.parametrize("first", [-0.005, 0.02])
    def test_known_population_is_the_posterior_of_all_that_was_seen(self, first: float):
        """Compares with the joint normal distribution of the best and two candidates."""
        second = np.linspace(-0.03, 0.03, 601)
        rule = rules.KnownPopulation(Scenario(name="", rise=0.59), 0.15)
        run = dataclasses.replace(
            seen(candidate=0, best=0, recorded=0), true_standard_error=np.full(601, 0.004)
        )
        is_first_better = rule(
            dataclasses.replace(run, difference=estimates(*np.full(601, first)))
        )[0]
        found = rule(dataclasses.replace(run, difference=estimates(*second)))

        means, variance = np.array([0.8, 0.81, 0.82]), 0.01**2
        # Rows are the measured differences of the best, the first and the second candidate.
        measured = np.array([[-1.0, 1.0, 0.0], [0.0, -1.0, 1.0] if is_first_better else [-1, 0, 1]])
        noise = 0.004**2 * np.eye(2)
        gain = variance * measured.T @ np.linalg.inv(variance * measured @ measured.T + noise)
        rest = variance * (np.eye(3) - gain @ measured)
        contrast = measured[1]
        expected = [
            stats.norm.sf(
                0,
                contrast @ (means + gain @ (np.array([first, each]) - measured @ means)),
                math.sqrt(contrast @ rest @ contrast),
            )
            > 0.85
            for each in second
        ]
        assert is_first_better == (first > 0)
        assert found.tolist() == expected
        assert 0 < sum(expected) < 601

    def test_ours_is_the_test_of_the_textbook(self):
        differences = np.random.default_rng(5).normal(0.01, 0.01, size=300)
        errors = np.random.default_rng(6).uniform(0.002, 0.01, size=300)
        run = dataclasses.replace(
            seen(candidate=0, best=0, recorded=0),
            candidate=Estimates(value=0.8 + differences, standard_error=errors),
            best=estimates(*[0.8] * 300),
            difference=Estimates(value=differences, standard_error=errors),
        )
        expected = stats.t.sf(differences / errors, df=BUCKETS - 1) < 0.05
        assert rules.ours(TOGETHER, 0.05)(run).tolist() == expected.tolist()
        assert 0 < expected.sum() < 300


class TestReplay:
    def test_an_oracle_has_no_regret(self):
        found = replay(SMALL, {"oracle": rules.oracle}, 5, [1])["oracle"]
        assert found.regret.tolist() == [0] * 5
        assert found.worse.sum() == found.missed.sum() == 0
        assert found.promotions.tolist() == found.improvements.tolist()

    def test_who_never_promotes_has_the_regret_of_the_first_model(self):
        found = replay(SMALL, {"never": rules.never}, 5, [1])["never"]
        quality = streams.draw_streams(SMALL, 5, np.random.default_rng([1])).quality
        expected = np.maximum.accumulate(quality, axis=1).mean(axis=1) - quality[:, 0]
        assert found.regret.tolist() == pytest.approx(expected.tolist())
        assert found.promotions.tolist() == [0] * 5
        assert found.missed.tolist() == (quality > quality[:, :1]).sum(axis=1).tolist()

    def test_who_always_promotes_serves_the_candidate(self):
        def always(run: rules.Run) -> np.ndarray:
            return ~rules.never(run)

        found = replay(SMALL, {"always": always}, 5, [1])["always"]
        quality = streams.draw_streams(SMALL, 5, np.random.default_rng([1])).quality
        assert found.served.tolist() == quality.tolist()
        steps = np.diff(quality, axis=1)
        assert found.worse.tolist() == (steps < 0).sum(axis=1).tolist()
        assert found.loss.tolist() == pytest.approx(-steps.clip(max=0).sum(axis=1))

    def test_recorded_best_is_the_rule_of_tf_estimator(self):
        both = {"theirs": rules.tf_estimator, "ours": rules.ours(RECORDED)}
        found = replay(SMALL, both, 5, [1])
        assert found["ours"].served.tolist() == found["theirs"].served.tolist()
        assert found["ours"].promotions.sum() > 0

    def test_rules_see_the_same_examples_whoever_else_is_replayed(self):
        alone = replay(SMALL, {"a": rules.tf_estimator}, 5, [1])["a"]
        among = replay(SMALL, {"b": rules.oracle, "a": rules.tf_estimator}, 5, [1])["a"]
        assert alone.served.tolist() == among.served.tolist()

    def test_of_equal_candidates_a_share_of_alpha_is_promoted(self):
        count = 20
        rule = rules.ours(TOGETHER, 0.05)
        scenario = Scenario(name="equal", examples=2000, sd=0)
        found = replay(scenario, {"ours": rule}, count, [7])["ours"]
        low, high = stats.binom.interval(0.999, count * (CANDIDATES - 1), 0.05)
        assert low <= found.promotions.sum() <= high
        assert found.worse.sum() == found.improvements.sum() == 0

    def test_recorded_values_of_the_best_are_too_good(self):
        rule = {"recorded": rules.tf_estimator, "never": rules.never}
        found = replay(Scenario(name="", examples=200), rule, 20, [1])
        assert found["recorded"].curse.mean() > 0.02
        assert abs(found["never"].curse.mean()) < 0.02


class TestSimulate:
    TINY = Scenario(name="tiny", examples=20)

    @pytest.fixture(autouse=True)
    def _small_chunks(self, monkeypatch):
        monkeypatch.setattr(decision_quality, "CHUNK", 1)
        monkeypatch.setattr(decision_quality, "OTHER_POLICIES_STREAMS", 2)
        monkeypatch.setattr(decision_quality, "UNPAIRED_STREAMS", 1)

    def test_joins_chunks(self):
        found = decision_quality.simulate((self.TINY,), (0.01, 0.05), 3, workers=1)["tiny"]
        last = replay(self.TINY, {"": rules.tf_estimator}, 1, (decision_quality.SEED, 0, 2))[""]
        assert found[rules.TF_ESTIMATOR].served.shape == (3, CANDIDATES)
        assert found[rules.TF_ESTIMATOR].served[2].tolist() == last.served[0].tolist()
        assert len(found[rules.name_of(0.01)].regret) == 2
        assert len(found[rules.UNPAIRED].regret) == 1

    @pytest.mark.slow
    def test_number_of_processes_is_of_no_matter(self, monkeypatch):
        # A patch does not affect other processes.
        monkeypatch.undo()
        found = [
            decision_quality.simulate((self.TINY,), (0.05,), 60, workers)["tiny"]
            for workers in (1, 2)
        ]
        for name, replayed in found[0].items():
            assert replayed.served.tolist() == found[1][name].served.tolist()


class TestFigures:
    def test_ratio_has_the_spread_of_its_residuals(self):
        found = ratio_of(np.array([1, 3]), np.array([10, 10]))
        assert found is not None
        assert (found.value, found.margin) == pytest.approx((0.2, 1.959964 * math.sqrt(4) / 20))

    def test_ratio_to_nothing(self):
        assert ratio_of(np.array([0, 0]), np.array([0, 0])) is None

    @pytest.mark.parametrize(
        ("value", "margin", "verdict"),
        [(0.05, 0.01, "met"), (0.055, 0.01, "missed, within the margin"), (0.07, 0.01, "missed")],
    )
    def test_verdict(self, value, margin, verdict):
        found = Interval(value=value, margin=margin)
        target = Target(name="", scenario="", found=found, limit=0.05, is_share=True)
        assert target.verdict == verdict

    def test_figures_to_reach_are_all_there(self):
        replays = replay(SMALL, rules.rules_of((0.05,), SMALL), 2, [1])
        outcomes = {scenario.name: replays for scenario in decision_quality.SCENARIOS}
        found = decision_quality.targets_of(outcomes, rules.name_of(0.05))
        assert [target.limit for target in found].count(0.6) == 12
        assert [target.limit for target in found].count(0.05) == 9
        text = decision_quality.show(outcomes, 2)
        assert all(f"### {name[0].upper()}{name[1:]}" in text for name in outcomes)


class TestResults:
    def test_a_section_replaces_only_itself(self, tmp_path):
        path = tmp_path / "results.md"
        results.write_section("First", "old\n\n### Part", path)
        results.write_section("Second", "text", path)
        results.write_section("First", "new", path)
        assert path.read_text() == "# Results\n\n## First\n\nnew\n\n## Second\n\ntext\n"


class TestCharts:
    def test_is_well_formed_whatever_the_names(self, tmp_path):
        line = charts.Line(
            name='<b> & "c"',
            points=[(0.0, 0.0), (1.0, 2.0)],
            colour="#000",
            marker="circle",
            labels=["<1>", "&"],
        )
        panel = charts.Panel(title="<t>", x_label="&x", y_label="y", lines=[line])
        path = tmp_path / "chart.svg"
        charts.write(path, [panel], title="<title>", description="&", columns=1)
        texts = [each.text for each in ElementTree.parse(path).iter()]
        assert {'<b> & "c"', "<t>", "&x", "<title>", "<1>"} <= set(texts)

    def test_larger_values_are_higher(self, tmp_path):
        line = charts.Line(name="n", points=[(0.0, 0.0), (1.0, 2.0)], colour="#123456")
        panel = charts.Panel(title="t", x_label="x", y_label="y", lines=[line], zero=True)
        path = tmp_path / "chart.svg"
        charts.write(path, [panel], title="t", description="d", columns=1)
        drawn = [
            each.get("d", "")
            for each in ElementTree.parse(path).iter()
            if each.get("stroke") == "#123456"
        ]
        # The legend is drawn first, then the panel.
        start, end = (tuple(map(float, at.split())) for at in drawn[1][1:].split("L"))
        assert start[0] < end[0]
        assert start[1] > end[1]
