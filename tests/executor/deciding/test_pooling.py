import math
import random

import numpy as np
import pytest

from tfx_best_exporter.executor.deciding.ledger import Measured, Row
from tfx_best_exporter.executor.deciding.pooling import Noise, noise_of, pool

NOISE = Noise(scale=0.02, degrees_of_freedom=100)


def row(
    values: dict[str, float],
    *,
    example_count: float = 2000,
    error: float = 0.004,
    degrees_of_freedom: float = 19,
    data: str = "",
) -> Row:
    best = next(iter(values))
    return Row(
        data=data,
        example_count=example_count,
        best=best,
        models={
            digest: Measured(value=value)
            if digest == best
            else Measured(value=value, standard_error=error, degrees_of_freedom=degrees_of_freedom)
            for digest, value in values.items()
        },
    )


def least_squares(rows: list[Row], noise: Noise, best: str) -> tuple[dict, dict, float]:
    """Returns differences, variances and residual by NumPy, with an unknown for each run."""
    models = sorted({digest for each in rows for digest in each.models})
    design, values = [], []
    for index, each in enumerate(rows):
        weight = math.sqrt(each.example_count / noise.scale)
        for digest, measured in each.models.items():
            line = np.zeros(len(models) + len(rows))
            line[models.index(digest)] = weight
            line[len(models) + index] = weight
            design.append(line)
            values.append(weight * measured.value)
    matrix, values = np.array(design), np.array(values)
    solution = np.linalg.lstsq(matrix, values, rcond=None)[0]
    covariance = np.linalg.pinv(matrix.T @ matrix)
    differences, variances = {}, {}
    for digest in models:
        contrast = np.zeros(len(solution))
        contrast[models.index(digest)] += 1
        contrast[models.index(best)] -= 1
        differences[digest] = contrast @ solution
        variances[digest] = contrast @ covariance @ contrast
    return differences, variances, float(((values - matrix @ solution) ** 2).sum())


class TestNoiseOf:
    def test_is_half_the_variance_of_a_difference_with_the_variance_of_students_t(self):
        found = noise_of([row({"b": 0.9, "x": 0.91}, example_count=1000, error=0.02)])
        assert found is not None
        assert found.scale == pytest.approx(1000 * 0.02**2 / 2 * 19 / 17)
        assert found.degrees_of_freedom == 19
        assert found.of_value(500) == pytest.approx(found.scale / 500)
        assert found.of_difference(500) == pytest.approx(2 * found.scale / 500)

    def test_weighs_recent_runs_more(self):
        old = row({"b": 0.9, "x": 0.91}, error=0.03)
        new = row({"b": 0.9, "x": 0.91, "y": 0.92}, error=0.01)
        found = noise_of([old, new])
        assert found is not None
        assert found.degrees_of_freedom == pytest.approx(0.9 * 19 + 2 * 19)
        mean = 2000 * (0.9 * 0.03**2 + 2 * 0.01**2) / 2.9
        degrees = found.degrees_of_freedom
        assert found.scale == pytest.approx(mean / 2 * degrees / (degrees - 2))

    def test_an_exact_error_needs_no_correction(self):
        found = noise_of([row({"b": 0.9, "x": 0.91}, degrees_of_freedom=math.inf)])
        assert found is not None
        assert found.scale == pytest.approx(2000 * 0.004**2 / 2)

    @pytest.mark.parametrize(
        "rows",
        [
            [],
            [row({"b": 0.9})],
            [row({"b": 0.9, "x": 0.91}, degrees_of_freedom=2)],
            [row({"b": 0.9, "x": 0.91}, error=0.0)],
            [row({"b": 0.9, "x": 0.91}, error=1e-170)],
            [row({"b": 0.9, "x": 0.91}, error=1e200)],
        ],
        ids=["none", "best alone", "few degrees", "no noise", "underflow", "overflow"],
    )
    def test_is_not_known(self, rows):
        assert noise_of(rows) is None


class TestPool:
    def test_one_run_is_the_paired_difference(self):
        found = pool([row({"b": 0.9, "x": 0.93})], "b", ["x"], NOISE)
        assert found.differences["x"].value == pytest.approx(0.03)
        assert found.differences["x"].variance == pytest.approx(NOISE.of_difference(2000))
        assert (found.free, found.residual) == (0, pytest.approx(0, abs=1e-12))

    def test_two_runs_are_their_weighted_mean(self):
        rows = [
            row({"b": 0.9, "x": 0.93}, example_count=1000),
            row({"b": 0.8, "x": 0.86}, example_count=3000),
        ]
        found = pool(rows, "b", ["x"], NOISE)
        assert found.differences["x"].value == pytest.approx((0.03 + 3 * 0.06) / 4)
        assert found.differences["x"].variance == pytest.approx(NOISE.of_difference(4000))
        assert found.free == 1
        assert found.residual == pytest.approx(
            0.03**2 / (NOISE.of_difference(1000) + NOISE.of_difference(3000))
        )

    def test_models_are_compared_through_others(self):
        rows = [row({"a": 0.9, "x": 0.92}), row({"b": 0.8, "a": 0.85}), row({"b": 0.9, "x": 0.95})]
        found = pool(rows, "b", ["x"], NOISE)
        # The direct difference counts twice as much as the one by way of the model that left.
        assert found.differences["x"].value == pytest.approx((2 * 0.05 + 0.07) / 3)
        assert found.differences["x"].variance == pytest.approx(NOISE.of_difference(2000) * 2 / 3)

    def test_a_model_that_was_measured_once_says_nothing_about_others(self):
        rows = [row({"b": 0.9, "x": 0.93, "once": 0.99}), row({"b": 0.9, "x": 0.94})]
        without = [row({"b": 0.9, "x": 0.93}), rows[1]]
        found, expected = (pool(each, "b", ["x"], NOISE) for each in (rows, without))
        assert found.differences["x"].value == pytest.approx(expected.differences["x"].value)
        assert found.differences["x"].variance == pytest.approx(expected.differences["x"].variance)
        assert found.residual == pytest.approx(expected.residual)
        assert found.free == expected.free

    def test_rows_without_a_connection_to_the_last_one_change_no_difference(self):
        last = row({"b": 0.9, "x": 0.93})
        found = pool([row({"p": 0.1, "q": 0.5}), last], "b", ["x"], NOISE)
        assert found.differences["x"].value == pytest.approx(0.03)
        assert found.differences["x"].variance == pytest.approx(NOISE.of_difference(2000))
        assert (found.free, found.residual) == (-1, pytest.approx(0, abs=1e-9))

    @pytest.mark.parametrize("seed", range(20))
    def test_is_least_squares(self, seed):
        rng = random.Random(seed)
        names = ["m0", "m1", "m2", "m3", "m4", "m5", "m6"]
        rows = [
            row(
                {name: rng.gauss(0.8, 0.02) for name in rng.sample(names, rng.randint(2, 4))},
                example_count=rng.choice([300, 1000, 2000]),
            )
            for _ in range(8)
        ]
        rows.append(row({name: rng.gauss(0.8, 0.02) for name in names[:4]}))
        best, digests = "m1", ["m0", "m2", "m3"]
        found = pool(rows, best, digests, NOISE)
        differences, variances, residual = least_squares(rows, NOISE, best)
        assert {*found.differences} == {*digests}
        for digest, each in found.differences.items():
            assert each.value == pytest.approx(differences[digest], abs=1e-9)
            assert each.variance == pytest.approx(variances[digest], abs=1e-9)
        assert found.residual == pytest.approx(residual, abs=1e-7)
