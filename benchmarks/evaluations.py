"""Measures reading an evaluation with many slices, and deciding with it.

The peer is `tfma.load_metrics` on the same files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measuring import expect, pairs_of
from benchmarks.rows import Row, ratio_of

if TYPE_CHECKING:
    from tfx_best_exporter.executor.deciding.eval_result import EvalResult

SLICES = 10_000
METRICS = 20
# Limit for reading, and for deciding by a rule and a guardrail on every slice.
MAX_OF_LOADING = 2.0


def write_evaluation(path: Path, *, offset: float = 0.0, has_baseline: bool = False) -> Path:
    """Writes the files of Evaluator, with METRICS metrics of the overall slice and SLICES others.

    Args:
        path: Directory to write.
        offset: Offset that is added to each value.
        has_baseline: Whether the evaluation also has each metric of a baseline, and the difference.
    """
    import tensorflow as tf
    import tensorflow_model_analysis as tfma
    from google.protobuf import json_format
    from tensorflow_model_analysis.proto import config_pb2, metrics_for_slice_pb2

    path.mkdir(parents=True)
    names = ["example_count", *(f"metric_{index}" for index in range(1, METRICS))]
    # A side is a model name, whether it is a difference, and a number to subtract from the value.
    sides = [("", False, 0.0)]
    eval_config = config_pb2.EvalConfig(model_specs=[{}])
    if has_baseline:
        sides = [("candidate", False, 0.0), ("baseline", False, 0.1), ("candidate", True, 0.0)]
        eval_config = config_pb2.EvalConfig(
            model_specs=[{"name": "candidate"}, {"name": "baseline", "is_baseline": True}]
        )
    with tf.io.TFRecordWriter(str(path / "metrics-00000-of-00001.tfrecord")) as writer:
        for index in range(SLICES + 1):
            metrics = metrics_for_slice_pb2.MetricsForSlice(slice_key={})
            if index:
                single = metrics.slice_key.single_slice_keys.add()
                single.column, single.bytes_value = "user", f"user-{index}".encode()
            for model_name, is_diff, less in sides:
                for name in names:
                    item = metrics.metric_keys_and_values.add()
                    item.key.name, item.key.model_name = name, model_name
                    item.key.is_diff = is_diff
                    item.key.example_weighted.value = False
                    value = 0.1 if is_diff else (index % 97) / 97 + offset - less
                    item.value.double_value.value = 100 if name == "example_count" else value
            writer.write(metrics.SerializeToString())
    eval_run = config_pb2.EvalRun(version=tfma.version.VERSION, eval_config=eval_config)
    (path / "eval_config.json").write_text(json_format.MessageToJson(eval_run))
    return path


def load(*paths: Path) -> Callable[[Path], None]:
    """Returns a function that reads evaluations with TFMA only."""
    import tensorflow_model_analysis as tfma

    def run(_: Path) -> None:
        for path in paths:
            count = len(list(tfma.load_metrics(str(path))))
            expect(count == SLICES + 1, f"{SLICES + 1} slices must be loaded", count)

    return run


def read(path: Path, use: Callable[[EvalResult], None]) -> Callable[[Path], None]:
    """Returns a function that reads an evaluation and uses it."""
    from tfx_best_exporter.executor.evaluations import tfma as evaluation

    return lambda _: use(evaluation.from_tfma(path))


def one_metric_of_every_slice(result: EvalResult) -> None:
    """Reads one metric of every slice."""
    from tfx_best_exporter.executor.deciding.eval_result import MetricKey

    key = MetricKey(name="metric_7")
    found = sum(part.find(key) is not None for part in result.slices.values())
    expect(found == SLICES, f"{SLICES} slices must have the metric", found)


def every_metric_of_every_slice(result: EvalResult) -> None:
    """Reads all metrics of every slice."""
    found = sum(len(part) for part in result.slices.values())
    expect(found == SLICES * METRICS, f"{SLICES * METRICS} metrics must be found", found)


def decide(candidate_path: Path, best_path: Path | None) -> Callable[[Path], None]:
    """Returns a function that reads the evaluations of candidate and best, and decides.

    Args:
        candidate_path: Evaluation of the candidate.
        best_path: Evaluation of the best; None if the candidate's evaluation has it as baseline.
    """
    from tfx_best_exporter.executor.deciding import decide as comparison
    from tfx_best_exporter.executor.deciding.models import Best, Candidate, Observation
    from tfx_best_exporter.executor.deciding.policy import policy_from_proto
    from tfx_best_exporter.executor.evaluations import tfma as evaluation
    from tfx_best_exporter.proto import best_exporter_pb2 as pb

    policy = policy_from_proto(
        pb.ComparePolicy(
            metric={"metric": {"name": "metric_1"}, "direction": pb.HIGHER_IS_BETTER},
            guardrails=[
                {
                    "metric": {"name": "metric_2"},
                    "direction": pb.HIGHER_IS_BETTER,
                    "max_absolute_regression": 0.05,
                    "every_slice_min_examples": 10,
                }
            ],
        ),
        lambda _: lambda **_: True,
    )

    def run(_: Path) -> None:
        candidate = evaluation.from_tfma(candidate_path)
        best = evaluation.from_tfma(best_path) if best_path else candidate.baseline
        decision = comparison.decide(
            Observation(
                candidate=Candidate(digest="candidate", eval_result=candidate),
                best=Best(version=1, digest="best", eval_result=best),
            ),
            policy,
            0.0,
        )
        expect(
            decision.reason == pb.ExportDecision.BETTER,
            "the candidate must be better",
            decision.explanation,
        )
        found = len(decision.guardrails)
        expect(found == SLICES + 1, f"{SLICES + 1} guardrails must be checked", found)

    return run


def reading(root: Path, pairs: int) -> Iterator[Row]:
    """Yields rows for reading and deciding, compared with tfma.load_metrics on the same files."""
    candidate = write_evaluation(root / "candidate", offset=0.1)
    best = write_evaluation(root / "best")
    paired = write_evaluation(root / "paired", offset=0.1, has_baseline=True)
    for name, ours, peer, limit in (
        ("read", read(candidate, lambda _: None), load(candidate), MAX_OF_LOADING),
        (
            "read, with one metric of every slice",
            read(candidate, one_metric_of_every_slice),
            load(candidate),
            MAX_OF_LOADING,
        ),
        (
            "read, with every metric of every slice",
            read(candidate, every_metric_of_every_slice),
            load(candidate),
            None,
        ),
        (
            "decide with separate evaluations",
            decide(candidate, best),
            load(candidate, best),
            MAX_OF_LOADING,
        ),
        (
            "decide with one evaluation of both models",
            decide(paired, None),
            load(paired),
            MAX_OF_LOADING,
        ),
    ):
        yield ratio_of(
            f"{name}: {SLICES:,} slices, {METRICS} metrics, compared with tfma.load_metrics",
            pairs_of(ours, peer, root, pairs),
            limit,
        )
