from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import pytest

from benchmarks import challengers as simulation
from benchmarks import decision_quality
from benchmarks.challengers import DEFAULT, GREEDY, TF_ESTIMATOR, Figure, Policy, Replay
from benchmarks.decision_quality import Interval
from benchmarks.streams import Estimates, Scenario
from benchmarks.worlds import World
from tfx_best_exporter.executor.deciding.challengers import Form

SMALL = World(scenario=Scenario(name="small", examples=200, rise=0.05), runs=12)
ONE_RUN = Policy(alpha=0.05, challengers=0)


def estimates(*values: float, error: float = 0.0) -> Estimates:
    return Estimates(value=np.array(values), standard_error=np.full(len(values), error))


def measurements(**changed: Any) -> simulation.Measurements:
    """Returns the measurements of two streams."""
    fields: dict[str, Any] = {
        "run": 5,
        "data": "5",
        "example_count": 2000,
        "spans": np.arange(60),
        "candidate": estimates(0.82, 0.80),
        "best": estimates(0.80, 0.81),
        "difference": estimates(0.02, -0.01, error=0.004),
        "recorded": np.array([0.83, 0.79]),
        "best_models": np.array([1, 2]),
        "challengers": (),
    }
    return simulation.Measurements(**{**fields, **changed})


def replayed(**changed: Any) -> Replay:
    fields: dict[str, Any] = {
        "regret": np.array([0.001, 0.002, 0.003]),
        "promotions": np.array([2, 3, 5]),
        "worse": np.array([0, 1, 0]),
        "measured_again": np.array([1.0, 0.5, 0.6]),
        "candidates": np.array([59.0, 59.0, 59.0]),
        "older": np.array([0, 0, 3]),
    }
    return Replay(**{**fields, **changed})


class TestLarger:
    @pytest.mark.parametrize(("is_recorded", "expected"), [(True, [1, 5]), (False, [5, 2])])
    def test_serves_the_larger_value(self, is_recorded, expected):
        serve, kept = simulation.Larger(is_recorded=is_recorded).choose(measurements())
        assert serve.tolist() == expected
        assert kept.shape == (2, 0)


class TestChallengers:
    def rule(self, challengers: int) -> simulation.Challengers:
        return simulation.Challengers(2, alpha=0.05, challengers=challengers, form=Form.CALIBRATED)

    def test_without_challengers_it_is_the_paired_test(self):
        serve, kept = self.rule(0).choose(measurements())
        assert serve.tolist() == [5, 2]
        assert kept.shape == (2, 0)

    def test_keeps_challengers_and_promotes_them_later(self):
        rule = self.rule(2)
        first = measurements(difference=estimates(0.004, -0.1, error=0.004))
        first = dataclasses.replace(first, candidate=estimates(0.804, 0.71))
        serve, kept = rule.choose(first)
        assert serve.tolist() == [1, 2]
        assert kept.tolist() == [[5, -1], [-1, -1]]
        later = []
        for run in (6, 7, 8):
            serve, kept = rule.choose(
                measurements(
                    run=run,
                    data=str(run),
                    candidate=estimates(0.7, 0.7),
                    difference=estimates(-0.1, -0.11, error=0.004),
                    challengers=[
                        (np.array([5, -1]), estimates(0.806, 0.9), estimates(0, 0, error=0.004))
                    ],
                )
            )
            later.append(serve.tolist())
        assert later[0] == [1, 2]
        assert later[-1] == [5, 2]

    def test_a_run_on_older_data_decides_nothing(self):
        rule = self.rule(2)
        spans = np.arange(60)
        spans[5] = 1
        challengers = [(np.array([3, -1]), estimates(0.9, 0.9), estimates(0.1, 0.1, error=0.004))]
        serve, kept = rule.choose(measurements(spans=spans, challengers=challengers))
        # The best of the first stream is of span 1 too, and that of the second of span 2.
        assert serve.tolist() == [3, 2]
        assert kept[1].tolist() == [-1, -1]
        spans[5] = 0
        serve, kept = self.rule(2).choose(measurements(spans=spans, challengers=challengers))
        assert serve.tolist() == [1, 2]
        assert kept.tolist() == [[3, -1], [-1, -1]]


class TestReplay:
    def test_without_challengers_it_is_the_simulation_of_decide(self):
        """The regret of both simulations agrees within their margins."""
        world = World(scenario=Scenario(name="", examples=200, rise=0.05))
        mine = simulation.replay(world, (ONE_RUN,), 60, (1,))
        rules = decision_quality.rules_of((0.05,), world.scenario)
        names = {TF_ESTIMATOR: TF_ESTIMATOR, ONE_RUN.name: decision_quality.name_of(0.05)}
        theirs = decision_quality.replay(
            world.scenario, {name: rules[name] for name in names.values()}, 60, (2,)
        )
        for name, other in names.items():
            found = decision_quality.mean_of(mine[name].regret)
            expected = decision_quality.mean_of(theirs[other].regret)
            assert abs(found.value - expected.value) < 1.5 * (found.margin + expected.margin)

    def test_more_evidence_leads_to_less_regret(self):
        world = World(scenario=Scenario(name="", examples=2000))
        found = simulation.replay(world, (ONE_RUN, DEFAULT), 20, (3,))
        ours, one_run = found[DEFAULT.name], found[ONE_RUN.name]
        assert ours.regret.mean() < 0.7 * one_run.regret.mean()
        assert 0 < ours.measured_again.mean() <= 2
        assert not one_run.measured_again.any()

    def test_equal_models_have_no_regret(self):
        world = World(scenario=Scenario(name="", examples=200, sd=0.0), runs=5)
        for each in simulation.replay(world, (DEFAULT,), 10, (4,)).values():
            assert not each.regret.any()
            assert not each.worse.any()

    def test_reruns_of_old_data_export_nothing(self):
        world = World(scenario=Scenario(name="", examples=200), reruns=0.3)
        found = simulation.replay(world, (DEFAULT,), 10, (6,))
        assert not found[DEFAULT.name].older.any()
        assert found[TF_ESTIMATOR].older.any()
        assert found[DEFAULT.name].promotions.any()

    def test_the_larger_of_the_same_examples_is_a_fixed_choice(self):
        """With the same examples each run, the recorded value is the value."""
        world = dataclasses.replace(SMALL, overlap=1.0)
        found = simulation.replay(world, (), 20, (5,))
        assert found[GREEDY].regret.tolist() == found[TF_ESTIMATOR].regret.tolist()


class TestSimulate:
    def test_does_not_depend_on_the_number_of_processes(self):
        found = [
            simulation.simulate((SMALL,), 60, 7, workers)["small"][DEFAULT.name]
            for workers in (1, 2)
        ]
        assert found[0].regret.shape == (60,)
        assert found[0].regret.tolist() == found[1].regret.tolist()

    def test_another_seed_leads_to_other_streams(self):
        one, other = (simulation.simulate((SMALL,), 5, seed, 1) for seed in (1, 2))
        assert one["small"][TF_ESTIMATOR].regret.tolist() != (
            other["small"][TF_ESTIMATOR].regret.tolist()
        )


class TestFigures:
    OUTCOMES: ClassVar = {
        "stationary": {
            policy.name: replayed(regret=np.array([0.0002, 0.0003, 0.0005]))
            for policy in simulation.POLICIES
        }
        | {TF_ESTIMATOR: replayed(), GREEDY: replayed()}
    }

    @pytest.mark.parametrize(
        ("value", "margin", "expected"),
        [(0.2, 0.0, "met"), (0.21, 0.01, "met"), (0.22, 0.01, "missed")],
    )
    def test_is_met_up_to_its_margin(self, value, margin, expected):
        figure = Figure(
            name="regret", scenario="rising", found=Interval(value=value, margin=margin), limit=0.2
        )
        assert figure.line().split("\t") == [
            "regret",
            "rising",
            f"{value:.4f}",
            f"{margin:.4f}",
            "0.2",
            expected,
        ]

    def test_are_those_of_the_simulated_worlds(self):
        found = {each.name: each for each in simulation.figures_of(self.OUTCOMES)}
        assert {each.scenario for each in found.values()} == {"stationary"}
        assert found[f"regret, {DEFAULT.name}"].found.value == pytest.approx(0.001 / 0.006)
        assert found[f"wrong promotions, {DEFAULT.name}"].found.value == pytest.approx(0.1)
        again = found[f"evaluations of challengers per run, {DEFAULT.name}"]
        assert (again.found.value, again.limit) == (pytest.approx(0.7), 1.1)
        greedy = found[f"regret above greedy, {simulation.EAGER.name}"]
        assert greedy.found.value == pytest.approx((0.001 - 0.006) / 0.006)

    def test_every_limit_names_a_policy_and_worlds_that_are_simulated(self):
        names = {world.name for world in (*simulation.FRESH, *simulation.DIFFICULT)}
        every = {name: {**self.OUTCOMES["stationary"]} for name in names}
        found = simulation.figures_of(every)
        assert len(found) == 42
        assert {each.scenario for each in found} <= names

    def test_the_section_has_a_table_for_each_world(self):
        text = simulation.show(self.OUTCOMES)
        assert "### Challengers: stationary" in text
        for name in self.OUTCOMES["stationary"]:
            assert f"| {name} | 3 |" in text

    def test_the_command_prints_figures_last(self, capsys):
        simulation.main(
            ["--streams", "4", "--seed", "2", "--alpha", "0.3", "--scenario", "equal quality"]
        )
        text = capsys.readouterr().out
        assert "| alpha 0.3, 2 challengers | 4 |" in text
        line = text.splitlines()[-1]
        assert line.split("\t")[:2] == [
            f"promotions per candidate, {DEFAULT.name}",
            "equal quality",
        ]
