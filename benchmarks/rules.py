"""The rules that are compared: those of the peers, and this project's own decide().

A rule sees what was measured in one run of several streams, and says for each stream whether the
candidate replaces the best. Only the oracle, the test with known noise and the decider that knows
the population see more.
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
    """What is known in one run of several streams when the rule decides.

    Attributes:
        candidate: Accuracy of the candidate on this run's examples.
        best: Accuracy of the best on the same examples.
        difference: Candidate less best on the same examples, paired.
        recorded: Accuracy of the best on the examples of its own run.
        candidate_quality: The truth, for an oracle.
        best_quality: The truth, for an oracle.
        true_standard_error: Of the difference; nobody knows it but the simulation.
    """

    candidate: Estimates
    best: Estimates
    difference: Estimates
    recorded: Estimates
    candidate_quality: Array
    best_quality: Array
    true_standard_error: Array


class Rule(Protocol):
    """Says for each stream whether the candidate replaces the best."""

    def __call__(self, run: Run) -> Array:
        """Returns an array of bool."""
        ...


def tf_estimator(run: Run) -> Array:
    """tf.estimator.BestExporter: strictly better than what is recorded of the best."""
    return run.candidate.value > run.recorded.value


def tfma_change_threshold(run: Run) -> Array:
    """TFMA's change threshold, as TFX's examples set it: at most 1e-10 worse on the same data.

    What passes is blessed and pushed, and so is the latest blessed model of the next run.
    """
    return run.difference.value >= -1e-10


@dataclasses.dataclass(frozen=True)
class MlflowThreshold:
    """MLflow's MetricThreshold against what is recorded of the best: the change is reached."""

    min_absolute_change: float

    def __call__(self, run: Run) -> Array:
        """Returns where the candidate reaches the best's value and the change."""
        return run.candidate.value >= run.recorded.value + self.min_absolute_change


def orbax_best_fn(run: Run) -> Array:
    """Orbax' best_step: the largest recorded value; of equal ones the latest."""
    return run.candidate.value >= run.recorded.value


def oracle(run: Run) -> Array:
    """Knows the truth."""
    return run.candidate_quality > run.best_quality


def never(run: Run) -> Array:
    """Keeps the first model."""
    return np.zeros(run.candidate_quality.shape, dtype=bool)


def known_noise(run: Run) -> Array:
    """The most powerful test at DEFAULT_ALPHA on one run's examples: the noise is known exactly."""
    margin = special.ndtri(1 - DEFAULT_ALPHA) * run.true_standard_error
    return run.difference.value > margin


class KnownPopulation:
    """Knows the noise, and besides how good candidates are on average and how much they differ.

    Remembers what it has seen of the best, and promotes a candidate that is worse with a
    probability of no more than `allowed`: the posterior of two normal variables of which the
    difference was measured.
    """

    def __init__(self, scenario: Scenario, allowed: float):
        """Makes the rule for streams of one scenario.

        Args:
            scenario: The truth about the candidates.
            allowed: Probability that a promotion makes serving worse.
        """
        self._means = mean_accuracies(scenario)
        self._variance = scenario.sd**2
        self._allowed = allowed
        self._index = 0
        self._best_mean: Array = self._means[0]
        self._best_variance: Array = self._variance

    def __call__(self, run: Run) -> Array:
        """Returns where the candidate is surely enough better."""
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
    """decide(), called for each candidate of each stream.

    Attributes:
        policy: As decide() takes it.
        basis: Where the best's metrics come from. SAME_EVALUATION: the candidate's evaluation has
            the differences to the best.
    """

    policy: Policy
    basis: pb.ExportDecision.Basis

    def __call__(self, run: Run) -> Array:
        """Returns where decide() exports."""
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
        basis: Where the best's metrics come from.
        alpha: Of the test of significance; None: noise is not looked at.
        min_absolute_change: As in MetricRule.
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
    """Returns them as evaluation.py reads them from TFMA's: with the interval at 95 %."""
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
# Its degrees of freedom differ from run to run, and so each time a quantile is computed anew: slow.
UNPAIRED = "ours, same data, alpha 0.05, unpaired"
FLOOR = "test with known noise, alpha 0.05"
# Of the errors allowed, one for few mistakes and one for little regret.
ALLOWED = (0.15, 0.3)


def name_of(alpha: float) -> str:
    """Returns the name of the rule that compares on the same data with this alpha."""
    return f"ours, same data, alpha {alpha:g}"


def rules_of(alphas: Sequence[float], scenario: Scenario) -> dict[str, Rule]:
    """Returns the rules by name, in the order of the tables.

    Args:
        alphas: One rule for each.
        scenario: Of the streams, which one of the rules knows.
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
