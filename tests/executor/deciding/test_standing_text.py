import math
from typing import Any

import pytest

from tfx_best_exporter.executor.deciding import standing_text

BETTER: dict[str, Any] = {
    "run_count": 3,
    "gain": 0.006,
    "gain_error": 0.002,
    "chance_no_better": 0.02,
    "alpha": 0.05,
}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        pytest.param(
            {},
            "auc 0.912: over 3 runs 0.006 ± 0.002 better than the best; the chance that it is no"
            " better is 2 %, at most 5 % is allowed",
            id="better",
        ),
        pytest.param(
            {"run_count": 1, "gain": -0.00314, "gain_error": 0.00208, "chance_no_better": 0.937},
            "auc 0.912: in 1 run 0.0031 ± 0.0021 worse than the best; the chance that it is no"
            " better is 94 %, at most 5 % is allowed",
            id="worse",
        ),
        pytest.param(
            {"required": 0.002},
            "auc 0.912: over 3 runs 0.006 ± 0.002 better than the best; the chance that it is not"
            " better by more than 0.002 is 2 %, at most 5 % is allowed",
            id="required",
        ),
        pytest.param(
            {"log_e_value": math.log(31.4)},
            "auc 0.912: over 3 runs 0.006 ± 0.002 better than the best; its e-value is 31.4, at"
            " least 20 is required",
            id="guarantee",
        ),
        pytest.param(
            {"log_e_value": 0.0, "required": 0.002},
            "auc 0.912: over 3 runs 0.006 ± 0.002 better than the best; its e-value for a gain of"
            " more than 0.002 is 1, at least 20 is required",
            id="guarantee and required",
        ),
    ],
)
def test_text_of_a_model(changes: dict[str, Any], text: str):
    assert standing_text.standing_text("auc", 0.912, **{**BETTER, **changes}) == text


@pytest.mark.parametrize(
    ("value", "error", "texts"),
    [
        (0.00612, 0.00204, ("0.0061", "0.002")),
        (0.00612, 0.00996, ("0.0061", "0.01")),
        (0.000012, 0.0021, ("0", "0.0021")),
        (123.456, 21.9, ("123", "22")),
        (0.0061234, 0.0, ("0.006123", "0")),
        (0.0061234, math.inf, ("0.006123", "inf")),
        (math.nan, 0.002, ("NaN", "0.002")),
    ],
)
def test_a_number_has_the_digits_that_its_error_allows(
    value: float, error: float, texts: tuple[str, str]
):
    assert standing_text.with_error(value, error) == texts


@pytest.mark.parametrize(
    ("chance", "alpha", "texts"),
    [
        (0.0161, 0.05, ("1.6 %", "5 %")),
        (0.0501, 0.05, ("5.01 %", "5 %")),
        (0.05, 0.05, ("5 %", "5 %")),
        (0.253, 0.1, ("25 %", "10 %")),
        (0.00009, 0.05, ("less than 0.01 %", "5 %")),
        (0.00009, 0.00005, ("0.009 %", "0.005 %")),
        (0.00004, 0.00005, ("less than 0.005 %", "0.005 %")),
        (0.9999, 0.05, ("99.99 %", "5 %")),
        (1.0, 0.05, ("more than 99.99 %", "5 %")),
    ],
)
def test_a_chance_differs_from_the_allowed_one(chance: float, alpha: float, texts: tuple[str, str]):
    assert standing_text.chances(chance, alpha) == texts


@pytest.mark.parametrize(
    ("log_e_value", "alpha", "texts"),
    [
        (math.log(19.9999), 0.05, ("19.9999", "20")),
        (-800.0, 0.05, ("0", "20")),
        (20.0, 0.05, ("more than 1,000,000", "20")),
        (1e5, 1e-7, ("more than 10,000,000", "1e+07")),
    ],
)
def test_an_e_value_differs_from_the_required_one(
    log_e_value: float, alpha: float, texts: tuple[str, str]
):
    assert standing_text.e_values(log_e_value, alpha) == texts


@pytest.mark.parametrize(
    ("consistency", "text"),
    [
        (1.04, "The differences vary between runs as their standard errors say (ratio 1.04)."),
        pytest.param(
            1.51,
            "The differences vary more between runs than their standard errors say, so all errors"
            " are larger (ratio 1.51).",
            id="varying",
        ),
        pytest.param(
            0.66,
            "The differences vary less than their standard errors say: the runs share data, so"
            " they prove less (ratio 0.66).",
            id="sharing",
        ),
    ],
)
def test_consistency_in_words(consistency: float, text: str):
    assert standing_text.consistency_text(consistency) == text
