from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy import special

from benchmarks.streams import BUCKETS, Scenario, ScoredExamples, jackknife
from benchmarks.worlds import DIFFICULT, FRESH, Drawn, World

SMALL = World(scenario=Scenario(name="small", examples=200))


def drawn(count: int = 2000, **fields: Any) -> Drawn:
    return Drawn(dataclasses.replace(SMALL, **fields), count, np.random.default_rng(1))


def quality(found: Drawn) -> Any:
    """Returns the true accuracy of each model in its own run: (streams, runs)."""
    runs = range(found.world.runs)
    return np.stack([found.truth(run, np.full(found.count, run)) for run in runs], axis=1)


class TestDrawn:
    def test_names_differ(self):
        names = [world.name for world in (*FRESH, *DIFFICULT)]
        assert len({*names}) == len(names)

    def test_heavy_tails_have_the_same_spread_and_more_extremes(self):
        normal, heavy = quality(drawn()) - 0.8, quality(drawn(has_heavy_tails=True)) - 0.8
        assert heavy.std() == pytest.approx(normal.std(), rel=0.1)
        assert (abs(heavy) > 0.04).mean() > 10 * (abs(normal) > 0.04).mean()

    def test_a_warm_start_inherits(self):
        found = quality(drawn(carry=0.9)) - 0.8
        assert np.corrcoef(found[:, 20], found[:, 21])[0, 1] == pytest.approx(0.9, abs=0.02)
        assert found[:, 50].std() == pytest.approx(0.01, rel=0.05)

    def test_bursts_rise_in_steps(self):
        means = quality(drawn(bursts=3)).mean(axis=0)
        assert means[[14, 15, 29, 30, 45, 59]] == pytest.approx(
            [0.8, 0.82, 0.82, 0.84, 0.86, 0.86], abs=0.001
        )

    def test_broken_candidates_are_much_worse(self):
        assert (quality(drawn(broken=0.1)) < 0.75).mean() == pytest.approx(0.1, abs=0.005)

    def test_a_model_ages(self):
        found = drawn(count=3, ageing=0.001)
        models = np.array([2, 2, 2])
        assert found.truth(2, models) - found.truth(12, models) == pytest.approx([0.01] * 3)

    def test_the_best_so_far_is_the_largest_truth(self):
        found = drawn(count=5, ageing=0.001)
        truths = [found.truth(9, np.full(5, model)) for model in range(10)]
        assert found.best_truth(9) == pytest.approx(np.max(truths, axis=0))

    def test_an_interaction_differs_between_models_and_runs(self):
        found = drawn(interaction=0.02)
        models = np.zeros(found.count, dtype=int)
        shifts = [found.accuracy(run, models) - found.truth(run, models) for run in (3, 4)]
        assert [each.std() for each in shifts] == pytest.approx([0.02, 0.02], rel=0.1)
        assert abs(np.corrcoef(*shifts)[0, 1]) < 0.1

    def test_a_rerun_has_an_earlier_span_and_a_candidate_of_that_time(self):
        scenario = dataclasses.replace(SMALL.scenario, rise=0.1, sd=0.0)
        found = drawn(count=2, scenario=scenario, reruns=0.3)
        is_rerun = found.spans < np.arange(60)
        assert 5 < is_rerun.sum() < 35
        assert (found.spans[~is_rerun] == np.arange(60)[~is_rerun]).all()
        assert quality(found)[0] == pytest.approx(0.8 + 0.1 * found.spans / 59)
        assert drawn(count=2).spans.tolist() == [*range(60)]


class TestDrawnRun:
    @pytest.mark.parametrize(
        ("overlap", "least", "most"), [(0.0, -0.1, 0.1), (0.5, 0.4, 0.6), (1.0, 1.0, 1.0)]
    )
    def test_runs_share_the_noise_of_common_examples(self, overlap, least, most):
        scenario = dataclasses.replace(SMALL.scenario, sd=0.0)
        found = drawn(scenario=scenario, overlap=overlap)
        models = np.zeros(found.count, dtype=int)
        counts = [found.run(run, 1).best_right(models).sum(axis=1) for run in (3, 4)]
        correlation = np.corrcoef(*counts)[0, 1]
        assert least <= correlation + 1e-9
        assert correlation - 1e-9 <= most
        assert counts[0].mean() / 200 == pytest.approx(0.8, abs=0.005)

    @pytest.mark.parametrize("overlap", [0.0, 0.5, 1.0])
    def test_a_model_has_its_accuracy_in_each_role(self, overlap):
        found = drawn(overlap=overlap, broken=1.0)
        models = np.full(found.count, 7)
        run = found.run(7, 2)
        for right in (
            run.candidate_right(),
            run.best_right(models),
            run.challenger_right(1, models),
        ):
            assert right.sum(axis=1).mean() / 200 == pytest.approx(0.7, abs=0.005)

    def test_the_jackknife_of_an_auc_leaves_out_each_bucket(self):
        examples = ScoredExamples(SMALL.scenario, 3, np.random.default_rng(1))
        accuracy = np.array([0.6, 0.8, 0.95])
        found = jackknife(examples.candidate_right(accuracy), 200)
        separation = np.sqrt(2) * special.ndtri(accuracy)
        # The latent variables are the errors of the scores.
        errors = examples._candidate.reshape(3, BUCKETS, 2, 5)

        def area(stream: int, buckets: Any) -> float:
            positive, negative = np.moveaxis(errors[stream, buckets], 1, 0).reshape(2, -1)
            return (negative[None, :] < separation[stream] - positive[:, None]).mean()

        every = np.arange(BUCKETS)
        for stream in range(3):
            others = np.array([area(stream, np.delete(every, bucket)) for bucket in every])
            error = np.sqrt((BUCKETS - 1) / BUCKETS * ((others - others.mean()) ** 2).sum())
            assert found.value[stream] == pytest.approx(area(stream, every))
            assert found.standard_error[stream] == pytest.approx(error)

    def test_a_model_has_its_auc_in_each_role(self):
        found = drawn(is_auc=True, broken=1.0)
        models = np.full(found.count, 7)
        run = found.run(7, 2)
        areas = [run.candidate_right(), run.best_right(models), run.challenger_right(1, models)]
        values = [jackknife(each, 200).value for each in areas]
        assert [each.mean() for each in values] == pytest.approx([0.7] * 3, abs=0.005)
        # The models have the examples in common.
        assert np.corrcoef(values)[0, 1:].min() > 0.9
