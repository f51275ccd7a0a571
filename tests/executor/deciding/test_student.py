import math

import pytest
from scipy import special

from tfx_best_exporter.executor.deciding import student

REMEDY = "Give the number of independent parts, less one."


@pytest.mark.parametrize("degrees_of_freedom", [0.5, 1, 2, 2.5, 5, 19, 99.7, 1e3, 1e5, 9e6, 1e9])
@pytest.mark.parametrize("probability", [1e-6, 0.01, 0.05, 0.3, 0.7, 0.95, 0.975, 0.99, 1 - 1e-9])
def test_quantile(probability: float, degrees_of_freedom: float):
    expected = special.stdtrit(degrees_of_freedom, probability)
    assert student.quantile(probability, degrees_of_freedom) == pytest.approx(expected, rel=1e-6)


def test_quantile_of_the_middle_and_of_the_normal_distribution():
    assert student.quantile(0.5, 7) == pytest.approx(0, abs=1e-9)
    assert student.quantile(0.975, math.inf) == pytest.approx(1.959963984540054)


@pytest.mark.parametrize(
    ("probability", "degrees_of_freedom", "error"),
    [
        (0, 5, "probability must be between 0 and 1 (got 0). Give a share."),
        (1, 5, "probability must be between 0 and 1 (got 1). Give a share."),
        (
            0.9,
            0,
            f"degrees_of_freedom must be larger than 0 (got 0). {REMEDY}",
        ),
        (
            0.9,
            math.nan,
            f"degrees_of_freedom must be larger than 0 (got nan). {REMEDY}",
        ),
    ],
)
def test_bad_arguments(probability: float, degrees_of_freedom: float, error: str):
    with pytest.raises(ValueError, match="must be") as caught:
        student.quantile(probability, degrees_of_freedom)
    assert str(caught.value) == error
