"""Which evaluation of the best the candidate's is compared with, as a function of values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricKey
from tfx_best_exporter.executor.deciding.models import Best
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Below a Model artifact: the SavedModels that TFX's Trainer writes there.
_MODEL_DIRECTORIES = ("Format-Serving", "Format-TFMA")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reevaluated:
    """What was evaluated on the candidate's examples.

    Attributes:
        best: Evaluation of the best.
        together: Evaluation of the candidate, of which the best was the baseline; None where the
            best was evaluated alone.
    """

    best: EvalResult
    together: EvalResult | None = None


def with_evaluation(
    best: Best,
    *,
    candidate: EvalResult,
    model_uri: str,
    export_uri: str,
    needed: Sequence[MetricKey] | None = None,
    has_content_of_best: Callable[[str], bool] = lambda _: True,
    reevaluate: Callable[[], Reevaluated] | None = None,
    comparability: pb.ComparePolicy.Comparability = pb.ComparePolicy.PREFER_SAME_DATA,
) -> tuple[Best, tuple[str, ...]]:
    """Returns the best with the evaluation that says most about candidate and best, and warnings.

    In order: the baseline's in the candidate's own evaluation, if that baseline is the best; the
    best evaluated again; the recorded one.

    Args:
        best: With the evaluation of its record, or from elsewhere, or None.
        candidate: Evaluation of the candidate.
        model_uri: Of the Model that the best was made from; empty if that is not known.
        export_uri: Of the best itself.
        needed: Metrics that are going to be compared; None for all of the candidate's.
        has_content_of_best: Returns whether the SavedModel at a path is the one that the best was
            made from. A URI alone does not say so: where ML Metadata was lost, it is given anew.
        reevaluate: Evaluates the best on the candidate's examples; None if they were not given.
        comparability: REQUIRE_SAME_DATA makes it an error that the best cannot be evaluated again.

    Raises:
        RuntimeError: It could not be evaluated again, and that is required.
    """
    warnings: list[str] = []
    baseline = candidate.baseline
    if baseline is not None:
        path = baseline.model_paths.get(baseline.model_name, "")
        # A best of which nothing more is known is still one that lies somewhere.
        is_best = _is_at(path, export_uri) or (
            _is_at_or_below(path, model_uri) and has_content_of_best(path)
        )
        lacking = _lacking(candidate, baseline, needed) if is_best else []
        if is_best and not lacking:
            same = dataclasses.replace(
                best,
                eval_result=baseline,
                basis=pb.ExportDecision.SAME_EVALUATION,
                together=candidate,
            )
            return same, ()
        if lacking:
            warnings.append(
                f"the baseline, which is the best, was not evaluated by {', '.join(lacking)}"
            )
        else:
            warnings.append(
                f"the evaluation's baseline is not the best: {path or 'it has no path'}"
            )
    has_other_examples = False
    if reevaluate is not None:
        found, problem, has_other_examples = _evaluated_again(reevaluate, candidate, needed)
        if isinstance(found, Reevaluated) and not problem:
            again = dataclasses.replace(
                best,
                eval_result=found.best,
                basis=pb.ExportDecision.EVALUATED_AGAIN,
                together=found.together,
            )
            return again, tuple(warnings)
        if comparability == pb.ComparePolicy.REQUIRE_SAME_DATA:
            raise RuntimeError(
                "the best must be evaluated on the candidate's examples, since"
                f" compare_policy.comparability is REQUIRE_SAME_DATA (got {problem}, at"
                f" {export_uri}). Nothing was exported: mend the examples or the eval config,"
                " or set PREFER_SAME_DATA for one run."
            ) from (found if isinstance(found, Exception) else None)
        warnings.append(f"the best could not be evaluated on the candidate's examples: {problem}")
    recorded = best.eval_result
    if recorded is None:
        return best, tuple(warnings)
    # Examples that are not the candidate's say nothing of what it was evaluated on.
    is_same = candidate.data.is_same(recorded.data) and not has_other_examples
    basis = (
        pb.ExportDecision.RECORDED_SAME_DATA if is_same else pb.ExportDecision.RECORDED_OTHER_DATA
    )
    return dataclasses.replace(best, basis=basis), tuple(warnings)


def _evaluated_again(
    reevaluate: Callable[[], Reevaluated],
    candidate: EvalResult,
    needed: Sequence[MetricKey] | None,
) -> tuple[Reevaluated | Exception, str, bool]:
    """Returns what an evaluation found, what is wrong with it, and whether that is its examples."""
    try:
        found = reevaluate()
    except Exception as error:
        # Beam and TFMA raise whatever the model's own code does.
        return error, f"{type(error).__name__}: {_first_line(error)}", False
    other_examples = _why_other_examples(candidate, found, needed)
    lacking = _lacking(candidate, found.best, needed)
    problem = f"it has no {', '.join(lacking)}" if lacking else other_examples
    return found, problem, bool(other_examples)


def check_candidate(candidate: EvalResult, model_uri: str) -> None:
    """Checks that an evaluation is one of the candidate.

    Args:
        candidate: The evaluation that was given with it.
        model_uri: Of the Model artifact that the candidate lies in.

    Raises:
        ValueError: It is one of another Model artifact.
    """
    path = candidate.model_paths.get(candidate.model_name, "")
    parent, _, name = path.rstrip("/").rpartition("/")
    # What a custom_eval_shared_model loads may lie anywhere: only a Model artifact is known by it.
    if name in _MODEL_DIRECTORIES and not _is_at(parent, model_uri):
        raise ValueError(
            f"evaluation must be one of the candidate, {model_uri!r} (got one of {parent!r}, at"
            f" {candidate.uri}). Give Evaluator and BestExporter the same model channel."
        )


def _why_other_examples(
    candidate: EvalResult, found: Reevaluated, needed: Sequence[MetricKey] | None
) -> str:
    """Returns by what an evaluation made now shows that its examples are not the candidate's."""
    now, before = found.best.example_count, candidate.example_count
    if now is not None and before is not None and not _are_same_count(now, before):
        texts = numbers.count(now, before), numbers.count(before, now)
        return f"{texts[0]} examples were found, and the candidate was evaluated on {texts[1]}"
    for key in candidate.metrics if needed is None else needed:
        again = None if found.together is None else found.together.find(key)
        own = candidate.find(key)
        if again is None or own is None:
            continue
        if not _are_same_value(again.value, own.value):
            texts = numbers.apart(again.value, own.value)
            return f"{key} of the candidate is {texts[0]} on them, and {texts[1]} in its evaluation"
    return ""


def _are_same_count(one: float, other: float) -> bool:
    """Returns whether two numbers of examples are the same.

    Sums of weights depend on the order of the examples, which no two runs of Beam share.
    """
    if float(one).is_integer() and float(other).is_integer():
        return one == other
    return math.isclose(one, other, rel_tol=1e-5)


def _are_same_value(one: float, other: float) -> bool:
    """Returns whether two values of one model may be of the same examples.

    In single precision, and in another order, they differ by more than double precision has.
    """
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-6)


def _lacking(
    candidate: EvalResult, best: EvalResult, needed: Sequence[MetricKey] | None
) -> list[str]:
    """Returns the names of metrics that the candidate has and the best has not."""
    if needed is None:
        return [name for name in candidate if name not in best]
    return [str(key) for key in needed if candidate.find(key) and not best.find(key)]


def _is_at(path: str, uri: str) -> bool:
    return bool(uri) and path.rstrip("/") == uri.rstrip("/")


def _is_at_or_below(path: str, uri: str) -> bool:
    return _is_at(path, uri) or (bool(uri) and path.startswith(f"{uri.rstrip('/')}/"))


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:500] if lines else ""
