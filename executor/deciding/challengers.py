"""Decides from several runs which model to serve and which refused models to measure again.

A challenger is a refused model that is kept because it may turn out better. Each run measures best,
candidate and challengers on the same fresh examples, and a ledger collects the values. The evidence
of all rows of the ledger decides, instead of one look at each candidate. docs/decisions/0021 has
the figures: fewer promotions that make serving worse, and less regret.

The steps, with their sources:

1. Noise and least squares: pooling.py.
2. Consistency. The residual is compared with its degrees of freedom: R. T. Birge, "The calculation
   of errors by the method of least squares", Physical Review 40 (1932), 207-227. A ratio above 1
   means that the differences vary more between runs than their standard errors allow. A ratio below
   1 means that the runs share noise, for example because their data overlap.
3. Shrinkage. The best candidate of many is partly lucky, and each run looks again. The estimate is
   treated as if one more run had found no difference: B. Efron, Large-Scale Inference (2010),
   chapter 1, with the noise of one run in place of the estimated variance of the differences.
4. Chance that the model is no better: the normal tail of the shrunken estimate. Simulations
   calibrate it; it is not a guarantee.
5. With a guarantee, a test that is valid at every look takes the place of step 4. It is a mixture
   of likelihood ratios over a half-normal distribution of gains: H. Robbins, "Statistical methods
   related to the law of the iterated logarithm", Annals of Mathematical Statistics 41 (1970),
   1397-1409. By J. Ville's inequality (Etude critique de la notion de collectif, 1939), the
   probability that it ever reaches 1 / alpha is at most alpha if the model is no better. The
   guarantee holds for a fixed best, exact standard errors and the same noise in each run. See also
   R. Johari, P. Koomen, L. Pekelis and D. Walsh, "Always valid inference", Operations Research 70
   (2022), 1806-1821.
6. Challengers: the models with the largest expected gain, as in D. R. Jones, M. Schonlau and W. J.
   Welch, "Efficient global optimization of expensive black-box functions", Journal of Global
   Optimization 13 (1998), 455-492. A model with little chance of a gain is dropped. The same
   applies to a best that was replaced, so it is measured again only if alpha is larger than that
   chance.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Collection, Mapping, Sequence

from tfx_best_exporter.executor.deciding import ledger as ledger_rows
from tfx_best_exporter.executor.deciding import pooling, significance
from tfx_best_exporter.executor.deciding.ledger import Measured, Row
from tfx_best_exporter.executor.deciding.pooling import Difference

# Weight of the assumption that the standard errors are right, as a number of observations.
_TRUST = 10.0
# Smallest share of the variance that consistent runs leave.
_LEAST_CONSISTENCY = 0.02
# Number of runs that are assumed to have found no difference.
_PSEUDO_RUNS = 1.0
# Smallest probability of a gain with which a challenger is kept.
_LEAST_CHANCE = 0.2


class Form(enum.Enum):
    """The test that promotes a model."""

    CALIBRATED = "calibrated"
    GUARANTEED = "guaranteed"


class Evidence(enum.Enum):
    """The evidence that a verdict is based on."""

    POOLED = "the runs of the ledger"
    LAST_RUN = "the paired test of the last run"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The evidence on a model, compared with the best.

    Attributes:
        digest: Digest of the model.
        gain: Estimated improvement over the best, shrunken toward 0.
        error: Standard error of the gain.
        chance_no_better: Probability that the gain is not larger than required.
        expected_gain: Expected value of the gain if it is positive, and 0 otherwise. It orders
            challengers.
        run_count: Number of runs that measured the model.
        difference: Estimated improvement before shrinkage.
        difference_error: Standard error of the difference.
        log_e_value: Natural logarithm of the e-value; None in the calibrated form, and
            for the paired test of one run.
        is_significant: True if the evidence is strong enough for a promotion.
    """

    digest: str
    gain: float
    error: float
    chance_no_better: float
    expected_gain: float
    run_count: int
    difference: float
    difference_error: float
    log_e_value: float | None
    is_significant: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Standings:
    """The standings of the models of the last run.

    Attributes:
        evidence: The evidence that they are based on.
        standings: Standings by the digest of the model; without the best, and without models that
            have no known error.
        consistency: Variation of the differences between runs, relative to their standard errors:
            1 as expected, more if they vary more. 1 for the paired test of one run.
    """

    evidence: Evidence
    standings: Mapping[str, Standing]
    consistency: float = 1.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The model to serve, and the models to measure again.

    Attributes:
        serve: Digest of the model to serve: the best, the candidate or a challenger.
        challengers: Digests of the models to keep, the largest expected gain first.
        found: Standings of all models of the last run, compared with the best.
    """

    serve: str
    challengers: tuple[str, ...]
    found: Standings


def choose(
    ledger: Sequence[Row],
    best: str,
    *,
    alpha: float = significance.DEFAULT_ALPHA,
    challengers: int,
    required: float = 0.0,
    form: Form = Form.CALIBRATED,
    barred: Collection[str] = (),
) -> Verdict:
    """Returns the model to serve and the challengers to keep.

    Args:
        ledger: Rows in the order of the runs. The last row has the values of this run: the best,
            the candidate and the challengers.
        best: Digest of the model that is served.
        alpha: Largest probability of being no better with which a model is promoted.
        challengers: Number of challengers to keep. With 0, the paired test of the last run decides
            as without a ledger.
        required: Size that the gain must exceed, in the unit of the values.
        form: The test that promotes a model.
        barred: Digests of models that must be neither promoted nor kept: not blessed, rejected,
            withdrawn, or stopped by a guardrail.
    """
    terms = Terms(alpha=alpha, required=required, form=form, is_pooled=challengers > 0)
    found = standings_of(ledger, best, terms)
    promoted = winners(found, barred)
    serve, after = best, found
    if promoted:
        serve = promoted[0].digest
        after = standings_of(ledger, serve, terms)
    return Verdict(
        serve=serve,
        challengers=tuple(each.digest for each in hopeful(after, barred)[:challengers]),
        found=found,
    )


def winners(found: Standings, barred: Collection[str] = ()) -> list[Standing]:
    """Returns the models that may be promoted, the largest gain first.

    Args:
        found: Standings, compared with the best.
        barred: See `choose`.
    """
    promoted = [
        each
        for each in found.standings.values()
        if each.is_significant and each.digest not in barred
    ]
    return sorted(promoted, key=lambda each: -each.gain)


def hopeful(found: Standings, barred: Collection[str] = ()) -> list[Standing]:
    """Returns the models that are worth measuring again, the largest expected gain first.

    Args:
        found: Standings, compared with the model that is served after this run.
        barred: See `choose`.
    """
    hopeful = [
        each
        for each in found.standings.values()
        if each.chance_no_better <= 1 - _LEAST_CHANCE and each.digest not in barred
    ]
    return sorted(hopeful, key=lambda each: -each.expected_gain)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The arguments of `choose` that a standing depends on.

    Attributes:
        alpha: Largest probability of being no better with which a model is promoted.
        required: Size that the gain must exceed, in the unit of the values.
        form: The test that promotes a model.
        is_pooled: False for the paired test of the last run.
    """

    alpha: float
    required: float = 0.0
    form: Form = Form.CALIBRATED
    is_pooled: bool = True


def standings_of(ledger: Sequence[Row], best: str, arguments: Terms) -> Standings:
    """Returns the standings of the models of the last row, from all rows if that is possible.

    Args:
        ledger: See `choose`.
        best: Digest of the model that the others are compared with.
        arguments: Further arguments of `choose`.
    """
    last = ledger[-1]
    digests = [digest for digest in last.models if digest != best]
    rows = ledger_rows.merged(row for row in ledger if row.is_usable)
    is_pooled = arguments.is_pooled and last.is_usable and best in last.models and bool(digests)
    noise = pooling.noise_of(rows) if is_pooled else None
    if noise is None:
        pairs = {digest: _difference_in(last, digest, best) for digest in digests}
        return Standings(
            evidence=Evidence.LAST_RUN,
            standings={
                digest: _from_one_run(digest, pair, arguments)
                for digest, pair in pairs.items()
                if pair is not None
            },
        )
    pooled = pooling.pool(rows, best, digests, noise)
    consistency = (_TRUST + pooled.residual) / max(_TRUST + pooled.free, 1.0)
    variance = noise.of_difference(rows[-1].example_count)
    return Standings(
        evidence=Evidence.POOLED,
        standings={
            digest: _from_rows(
                digest,
                _consistent(pooled.differences[digest], consistency, variance),
                variance,
                sum(digest in row.models for row in rows),
                arguments,
            )
            for digest in digests
        },
        consistency=consistency,
    )


def _consistent(difference: Difference, consistency: float, variance: float) -> Difference:
    """Returns a difference with the variance that the consistency of the runs implies.

    Args:
        difference: Least-squares estimate.
        consistency: Birge ratio of all rows.
        variance: Variance of a difference in the last run. Runs that share noise never make a
            difference more certain than their last run does.
    """
    scale = max(consistency, _LEAST_CONSISTENCY)
    shared = max(1 - consistency, 0.0) * variance
    return dataclasses.replace(difference, variance=scale * difference.variance + shared)


def _from_rows(
    digest: str, difference: Difference, variance: float, run_count: int, arguments: Terms
) -> Standing:
    """Returns a standing from a pooled difference.

    Args:
        digest: Digest of the model.
        difference: Difference from the best.
        variance: Variance of a difference in the last run.
        run_count: Number of runs that measured the model.
        arguments: Arguments of `choose`.
    """
    pull = variance / _PSEUDO_RUNS
    share = pull / (pull + difference.variance)
    gain, error = share * difference.value, math.sqrt(share * difference.variance)
    chance = _upper_tail((gain - arguments.required) / error)
    log_e_value = None
    is_significant = chance <= arguments.alpha
    if arguments.form is Form.GUARANTEED:
        log_e_value = _log_e_value(
            difference.value - arguments.required, difference.variance, prior_variance=variance
        )
        is_significant = log_e_value >= -math.log(arguments.alpha)
    return Standing(
        digest=digest,
        gain=gain,
        error=error,
        chance_no_better=chance,
        expected_gain=_expected_gain(gain, error),
        run_count=run_count,
        difference=difference.value,
        difference_error=math.sqrt(difference.variance),
        log_e_value=log_e_value,
        is_significant=is_significant,
    )


def _difference_in(row: Row, digest: str, best: str) -> tuple[float, Measured] | None:
    """Returns a difference of values in one row, and the measurement with its standard error.

    A row has the errors of the differences to its own best only.
    """
    if best not in row.models or row.best not in (digest, best):
        return None
    measured = row.models[best if digest == row.best else digest]
    if not measured.has_error:
        return None
    return row.models[digest].value - row.models[best].value, measured


def _from_one_run(digest: str, pair: tuple[float, Measured], arguments: Terms) -> Standing:
    """Returns a standing from the paired test of one run, as in significance.py."""
    difference, measured = pair
    error, degrees_of_freedom = measured.standard_error or 0.0, measured.degrees_of_freedom
    excess = difference - arguments.required
    bound = significance.lower_bound_of(difference, error, degrees_of_freedom, arguments.alpha)
    return Standing(
        digest=digest,
        gain=difference,
        error=error,
        chance_no_better=significance.chance_no_better(excess, error, degrees_of_freedom),
        expected_gain=_expected_gain(difference, error),
        run_count=1,
        difference=difference,
        difference_error=error,
        log_e_value=None,
        is_significant=bound > arguments.required,
    )


def _upper_tail(z: float) -> float:
    """Returns the probability that a standard normal variable is larger than z."""
    return math.erfc(z / math.sqrt(2)) / 2


def _expected_gain(gain: float, error: float) -> float:
    """Returns E[max(X, 0)] for a normal variable X with this mean and standard deviation."""
    if not error:
        return max(gain, 0.0)
    z = gain / error
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return error * (z * _upper_tail(-z) + density)


def _log_e_value(excess: float, variance: float, *, prior_variance: float) -> float:
    """Returns the logarithm of the e-value against "the difference is not larger than required".

    It is the likelihood ratio, against a difference of exactly `required`, averaged over a
    half-normal distribution of larger differences:
    2 (1 + prior_variance / variance)^(-1/2) exp(x^2 / 2) Phi(x).

    Args:
        excess: Estimate of the difference minus the required one.
        variance: Variance of the estimate.
        prior_variance: Variance of the normal distribution whose upper half is averaged over.
    """
    # SciPy loads NumPy, which is slow to import.
    from scipy import special

    x = excess / variance / math.sqrt(1 / variance + 1 / prior_variance)
    normalization = math.log(2) - math.log1p(prior_variance / variance) / 2
    return normalization + x * x / 2 + float(special.log_ndtr(x))
