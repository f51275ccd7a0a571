"""Sentences about the evidence of several runs, for explanations, the report and the command."""

from __future__ import annotations

import math

from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.deciding.challengers import Standing, Terms
from tfx_best_exporter.executor.deciding.metric_key import MetricKey

# An error is known to one or two digits only, and so is a chance.
_DIGITS = 2
_LEAST_CHANCE = 1e-4
_MOST_E_VALUE = 1e6
_LEAST_ALPHA = 1e-300
# Ratios that less than one run in twenty exceeds by chance, given exact standard errors.
_VARIES = 1.5
_SHARES = 1 / _VARIES


def text_of(standing: Standing, terms: Terms, metric: MetricKey, value: float) -> str:
    """Returns one clause about the standing of a model; see `standing_text`.

    Args:
        standing: The evidence on the model.
        terms: The test that promotes a model.
        metric: The metric.
        value: The model's value on the examples of the last run.
    """
    return standing_text(
        str(metric),
        value,
        run_count=standing.run_count,
        gain=standing.gain,
        gain_error=standing.error,
        chance_no_better=standing.chance_no_better,
        alpha=terms.alpha,
        required=terms.required,
        log_e_value=standing.log_e_value,
    )


def standing_text(
    metric: str,
    value: float,
    *,
    run_count: int,
    gain: float,
    gain_error: float,
    chance_no_better: float,
    alpha: float,
    required: float = 0.0,
    log_e_value: float | None = None,
) -> str:
    """Returns one clause about a model, compared with the best.

    Args:
        metric: Name of the metric.
        value: The model's value on the examples of this run.
        run_count: Number of runs that measured it.
        gain: Estimated improvement in the metric's own unit; positive if the model is better.
        gain_error: Standard error of the gain.
        chance_no_better: Probability that the gain is not larger than required.
        alpha: Largest probability with which a model is exported.
        required: Size that the gain must exceed.
        log_e_value: Natural logarithm of the e-value, if the test has a guarantee.

    Example:
        >>> standing_text(
        ...     "auc", 0.912, run_count=3, gain=0.006, gain_error=0.002,
        ...     chance_no_better=0.02, alpha=0.05
        ... )
        'auc 0.912: over 3 runs 0.006 ± 0.002 better than the best; the chance that it is no better
        is 2 %, at most 5 % is allowed'
    """
    size, error = with_error(abs(gain), gain_error)
    relation = "worse" if gain < 0 else "better"
    runs = f"over {run_count:,} runs" if run_count > 1 else "in 1 run"
    least = numbers.shown(required)
    if log_e_value is None:
        outcome = f"not better by more than {least}" if required else "no better"
        chance, allowed = chances(chance_no_better, alpha)
        test = f"the chance that it is {outcome} is {chance}, at most {allowed} is allowed"
    else:
        found, needed = e_values(log_e_value, alpha)
        gained = f" for a gain of more than {least}" if required else ""
        test = f"its e-value{gained} is {found}, at least {needed} is required"
    return (
        f"{metric} {numbers.shown(value)}: {runs} {size} ± {error} {relation} than the best; {test}"
    )


def with_error(value: float, error: float) -> tuple[str, str]:
    """Returns a number and its standard error, with two digits of the error.

    Example:
        >>> with_error(0.00612, 0.00204)
        ('0.0061', '0.002')
    """
    if not (math.isfinite(value) and math.isfinite(error) and error > 0):
        return numbers.shown(value), numbers.shown(error)
    places = _DIGITS - 1 - math.floor(math.log10(error))
    return numbers.shown(round(value, places)), numbers.shown(round(error, places))


def chances(chance: float, alpha: float) -> tuple[str, str]:
    """Returns a chance and the largest allowed one in percent, with digits that distinguish them.

    Example:
        >>> chances(0.02, 0.05), chances(0.0501, 0.05), chances(1e-9, 0.05)
        (('2 %', '5 %'), ('5.01 %', '5 %'), ('less than 0.01 %', '5 %'))
    """
    allowed = f"{_percent(alpha, chance)} %"
    least = min(_LEAST_CHANCE, alpha)
    if chance < least:
        return f"less than {_percent(least)} %", f"{_percent(alpha)} %"
    if chance > 1 - _LEAST_CHANCE:
        return f"more than {_percent(1 - _LEAST_CHANCE, 1.0)} %", f"{_percent(alpha)} %"
    return f"{_percent(chance, alpha, 1.0)} %", allowed


def e_values(log_e_value: float, alpha: float) -> tuple[str, str]:
    """Returns an e-value and the smallest one that exports, with digits that distinguish them.

    Args:
        log_e_value: Natural logarithm of the e-value.
        alpha: Largest allowed probability of a wrong export.
    """
    needed = 1 / max(alpha, _LEAST_ALPHA)
    most = max(_MOST_E_VALUE, needed)
    if log_e_value > math.log(most):
        return f"more than {numbers.count(most)}", numbers.shown(needed)
    return numbers.apart(math.exp(log_e_value), needed)


def consistency_text(consistency: float) -> str:
    """Returns the variation of the differences between runs in words, as one sentence.

    Args:
        consistency: Variation relative to the standard errors: 1 as expected.
    """
    ratio = numbers.shown(round(consistency, _DIGITS))
    if consistency > _VARIES:
        found = "vary more between runs than their standard errors say, so all errors are larger"
    elif consistency < _SHARES:
        found = "vary less than their standard errors say: the runs share data, so they prove less"
    else:
        found = "vary between runs as their standard errors say"
    return f"The differences {found} (ratio {ratio})."


def _percent(share: float, *beside: float) -> str:
    """Returns a share in percent with two digits, or with as many as distinguish it from others."""
    return numbers.shown(100 * share, *(100 * other for other in beside), digits=_DIGITS)
