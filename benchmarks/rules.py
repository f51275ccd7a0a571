"""Decision rules of other tools, and decide() of this package.

A rule reads the measurements of one run of several streams, and returns for each stream whether the
candidate replaces the best. Only the oracle, the test with known noise and the rule that knows the
population also read the truth.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from scipy import special

from benchmarks.streams import BUCKETS, Array, Estimates, Scenario, mean_accuracies
from tfx_best_exporter.executor.deciding import decide
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricKey, MetricValue
from tfx_best_exporter.executor.deciding.models import Best, Candidate, Observation
from tfx_best_exporter.executor.deciding.policy import Policy, policy_from_proto
from tfx_best_exporter.proto import best_exporter_pb2 as pb

ACCURACY = MetricKey(name="accuracy")
ALPHAS = (0.01, 0.02, 0.05, 0.1, 0.2)
DEFAULT_ALPHA = 0.05
_T95 = float(special.stdtrit(BUCKETS - 1, 0.975))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """Measurements of one run of several streams, and the truth.

    Attributes:
        candidate: Accuracy of the candidate on this run's examples.
        best: Accuracy of the best on the same examples.
        difference: Candidate less best on the same examples, paired.
        recorded: Accuracy of the best on the examples of its own run.
        candidate_quality: True accuracy of the candidate.
        best_quality: True accuracy of the best.
        true_standard_error: True standard error of the difference.
    """

    candidate: Estimates
    best: Estimates
    difference: Estimates
    recorded: Estimates
    candidate_quality: Array
    best_quality: Array
    true_standard_error: Array


class Rule(Protocol):
    """A function that returns for each stream whether the candidate replaces the best."""

    def __call__(self, run: Run) -> Array:
        """Returns an array of bool with one entry for each stream."""
        ...


def tf_estimator(run: Run) -> Array:
    """Applies tf.estimator.BestExporter: strictly better than the recorded value of the best."""
    return run.candidate.value > run.recorded.value


def tfma_change_threshold(run: Run) -> Array:
    """Applies TFMA's change threshold of TFX's examples: at most 1e-10 worse on the same data.

    A candidate that passes is blessed and pushed, and is the latest blessed model in the next run.
    """
    return run.difference.value >= -1e-10


@dataclasses.dataclass(frozen=True)
class MlflowThreshold:
    """MLflow's MetricThreshold: at least a minimum change from the recorded value of the best."""

    min_absolute_change: float

    def __call__(self, run: Run) -> Array:
        """Returns an array of bool with one entry for each stream."""
        return run.candidate.value >= run.recorded.value + self.min_absolute_change


def orbax_best_fn(run: Run) -> Array:
    """Applies Orbax' best_step: the largest recorded value, and the latest of equal values."""
    return run.candidate.value >= run.recorded.value


def oracle(run: Run) -> Array:
    """Promotes each candidate whose true accuracy is larger than the best's."""
    return run.candidate_quality > run.best_quality


def never(run: Run) -> Array:
    """Promotes no candidate after the first one."""
    return np.zeros(run.candidate_quality.shape, dtype=bool)


def known_noise(run: Run) -> Array:
    """Applies the most powerful test at DEFAULT_ALPHA, which knows the noise of the run exactly."""
    margin = special.ndtri(1 - DEFAULT_ALPHA) * run.true_standard_error
    return run.difference.value > margin


class KnownPopulation:
    """A Bayesian rule that knows the noise and the distribution of the candidates' quality.

    The rule keeps the posterior of the best, from all measured differences. It promotes a candidate
    if the probability that the candidate is worse is at most `allowed`.
    """

    def __init__(self, scenario: Scenario, allowed: float):
        """Makes the rule for streams of one scenario.

        Args:
            scenario: Scenario with the true distribution of the candidates.
            allowed: Largest allowed probability that a promotion makes serving worse.
        """
        self._means = mean_accuracies(scenario)
        self._variance = scenario.sd**2
        self._allowed = allowed
        self._index = 0
        self._best_mean: Array = self._means[0]
        self._best_variance: Array = self._variance

    def __call__(self, run: Run) -> Array:
        """Returns an array of bool with one entry for each stream."""
        self._index += 1
        mean = self._means[self._index]
        total = self._variance + self._best_variance + run.true_standard_error**2
        surprise = (run.difference.value - (mean - self._best_mean)) / total
        candidate_mean = mean + self._variance * surprise
        candidate_variance = self._variance - self._variance**2 / total
        best_mean = self._best_mean - self._best_variance * surprise
        best_variance = self._best_variance - self._best_variance**2 / total
        covariance = self._variance * self._best_variance / total
        spread = np.sqrt(candidate_variance + best_variance - 2 * covariance)
        margin = special.ndtri(1 - self._allowed) * spread
        is_better = candidate_mean - best_mean > margin
        self._best_mean = np.where(is_better, candidate_mean, best_mean)
        self._best_variance = np.where(is_better, candidate_variance, best_variance)
        return is_better


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ours:
    """Calls decide() for each candidate of each stream.

    Attributes:
        policy: Policy of decide().
        basis: Source of the best's metrics. With SAME_EVALUATION, the candidate's evaluation has
            the differences to the best.
    """

    policy: Policy
    basis: pb.ExportDecision.Basis

    def __call__(self, run: Run) -> Array:
        """Returns an array of bool with one entry for each stream."""
        is_recorded = self.basis == pb.ExportDecision.RECORDED_OTHER_DATA
        candidates = _metric_values(run.candidate)
        bests = _metric_values(run.recorded if is_recorded else run.best)
        differences: list[MetricValue] | list[None] = [None] * len(candidates)
        if self.basis == pb.ExportDecision.SAME_EVALUATION:
            differences = _metric_values(run.difference)
        return np.array(list(map(self._is_export, candidates, bests, differences)))

    def _is_export(
        self, candidate: MetricValue, best: MetricValue, difference: MetricValue | None
    ) -> bool:
        differences = {ACCURACY: difference} if difference else None
        candidate_result = EvalResult({ACCURACY: candidate}, differences=differences)
        decision = decide.decide(
            Observation(
                candidate=Candidate(digest="sha256:candidate", eval_result=candidate_result),
                best=Best(
                    version=1,
                    digest="sha256:best",
                    eval_result=EvalResult({ACCURACY: best}),
                    basis=self.basis,
                    together=candidate_result if difference else None,
                ),
            ),
            self.policy,
            0.0,
        )
        return decision.is_export


def ours(
    basis: pb.ExportDecision.Basis,
    alpha: float | None = None,
    min_absolute_change: float = 0.0,
) -> Ours:
    """Returns the rule of a policy for a larger accuracy.

    Args:
        basis: Source of the best's metrics.
        alpha: Alpha of the significance test; None for no test.
        min_absolute_change: Minimum change of MetricRule.
    """
    rule = pb.MetricRule(
        metric=ACCURACY.to_proto(),
        direction=pb.HIGHER_IS_BETTER,
        min_absolute_change=min_absolute_change,
    )
    if alpha is not None:
        rule.significance.alpha = alpha
    policy = policy_from_proto(pb.ComparePolicy(metric=rule), _no_function)
    return Ours(policy=policy, basis=basis)


def _no_function(name: str) -> Callable[..., Any]:
    raise ValueError(f"compare_fn must not be set (got {name!r}). The rule is a metric rule.")


def _metric_values(estimates: Estimates) -> list[MetricValue]:
    """Returns metric values with 95 % intervals, equal to those that are read from TFMA."""
    return [
        MetricValue(
            value=value,
            lower_bound=value - _T95 * error,
            upper_bound=value + _T95 * error,
            standard_error=error,
            degrees_of_freedom=BUCKETS - 1,
        )
        for value, error in zip(
            estimates.value.tolist(), estimates.standard_error.tolist(), strict=True
        )
    ]


TF_ESTIMATOR = "tf.estimator BestExporter"
MLFLOW = "MLflow threshold, change 0.001"
TFMA = "TFMA change threshold"
ORACLE = "oracle"
# This rule is slow: degrees of freedom differ between runs, so each decision computes a quantile.
UNPAIRED = "ours, same data, alpha 0.05, unpaired"
FLOOR = "test with known noise, alpha 0.05"
# Allowed errors of KnownPopulation: the first leads to few wrong promotions, the second to little
# regret.
ALLOWED = (0.15, 0.3)


def name_of(alpha: float) -> str:
    """Returns the name of the rule that compares on the same data with this alpha."""
    return f"ours, same data, alpha {alpha:g}"


def rules_of(alphas: Sequence[float], scenario: Scenario) -> dict[str, Rule]:
    """Returns the rules by name, in the order of the tables.

    Args:
        alphas: Alphas of our rules with a significance test.
        scenario: Scenario of the streams, for KnownPopulation.
    """
    recorded = pb.ExportDecision.RECORDED_OTHER_DATA
    together = pb.ExportDecision.SAME_EVALUATION
    return {
        TF_ESTIMATOR: tf_estimator,
        MLFLOW: MlflowThreshold(0.001),
        "MLflow threshold, change 0.01": MlflowThreshold(0.01),
        "Orbax best_fn": orbax_best_fn,
        TFMA: tfma_change_threshold,
        "ours, recorded": ours(recorded),
        "ours, same data": ours(together),
        UNPAIRED: ours(pb.ExportDecision.RECORDED_SAME_DATA, DEFAULT_ALPHA),
        **{name_of(alpha): ours(together, alpha) for alpha in alphas},
        FLOOR: known_noise,
        **{
            f"Bayes with known population, error {allowed:g}": KnownPopulation(scenario, allowed)
            for allowed in ALLOWED
        },
        ORACLE: oracle,
    }
