"""Chooses the evaluation of the best that the candidate's evaluation is compared with."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Callable, Mapping, Sequence

from tfx_best_exporter.executor.deciding import numbers
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricKey
from tfx_best_exporter.executor.deciding.models import Best
from tfx_best_exporter.executor.storage import tensorflow_path
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# TFX's Trainer writes its SavedModels to these directories of a Model artifact.
_MODEL_DIRECTORIES = ("Format-Serving", "Format-TFMA")


# Default of the functions that evaluate challengers, by content digest.
NO_CHALLENGERS: Mapping[str, Location] = types.MappingProxyType({})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reevaluated:
    """Result of evaluating the best on the candidate's examples.

    Attributes:
        best: Evaluation of the best.
        together: Evaluation of the candidate, with the best as its baseline; None if the best was
            evaluated alone.
        challengers: Evaluation of each challenger, with the best as its baseline, by the
            challenger's content digest. A challenger that could not be evaluated is missing.
        warnings: A sentence for each missing challenger.
    """

    best: EvalResult
    together: EvalResult | None = None
    challengers: Mapping[str, EvalResult] = dataclasses.field(
        default_factory=lambda: types.MappingProxyType({})
    )
    warnings: tuple[str, ...] = ()


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
    measures_challengers: bool = False,
) -> tuple[Best, tuple[str, ...]]:
    """Returns the best with the evaluation that is most comparable with the candidate's.

    The order of preference is: the baseline in the candidate's own evaluation, if that baseline is
    the best; a new evaluation of the best; the recorded evaluation.

    Args:
        best: The best, with its recorded evaluation; `eval_result` is None if none is known.
        candidate: Evaluation of the candidate.
        model_uri: URI of the Model that the best was made from; empty if it is not known.
        export_uri: URI of the best.
        needed: Metrics to compare; None for all metrics of the candidate.
        has_content_of_best: Returns True if the SavedModel at a path is the one that the best was
            made from. Equal URIs do not prove it: a new ML Metadata store hands out the same URIs
            again.
        reevaluate: Evaluates the best on the candidate's examples; None without `examples`.
        comparability: Under REQUIRE_SAME_DATA, an evaluation by `reevaluate` that cannot be used
            is an error.
        measures_challengers: True if `reevaluate` measures challengers too. It is then called even
            if the candidate's own evaluation has the best as its baseline.

    Returns:
        The best with an evaluation and its basis, and warnings.

    Raises:
        RuntimeError: The new evaluation cannot be used, and comparability requires it.
    """
    warnings: list[str] = []
    same: Best | None = None
    baseline = candidate.baseline
    if baseline is not None:
        path = baseline.model_paths.get(baseline.model_name, "")
        # The export's own path identifies the best even if its model is not known.
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
            if reevaluate is None or not measures_challengers:
                return same, ()
        elif lacking:
            warnings.append(
                "the evaluation's baseline is the best, but it is not used: it has no"
                f" {', '.join(lacking)}"
            )
        else:
            warnings.append(
                "the evaluation's baseline is not used: it is not the best, but the model at"
                f" {path or 'an unknown path'}"
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
            return again, (*warnings, *found.warnings)
        if same is not None:
            return same, (f"the challengers could not be measured: {problem}",)
        if comparability == pb.ComparePolicy.REQUIRE_SAME_DATA:
            raise RuntimeError(
                f"cannot evaluate the best at {export_uri} on the candidate's examples: {problem}."
                " Nothing was exported, because compare_policy.comparability is REQUIRE_SAME_DATA."
                " Fix the examples or the EvalConfig, or set PREFER_SAME_DATA for one run."
            ) from (found if isinstance(found, Exception) else None)
        warnings.append(
            f"the best could not be evaluated again on the candidate's examples: {problem}"
        )
    recorded = best.eval_result
    if recorded is None:
        return best, tuple(warnings)
    # If `examples` are not the candidate's, the candidate's data is not known.
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
    """Evaluates the best.

    Returns:
        The result or the error; its defect, empty if it can be used; and whether its examples are
        not the candidate's.
    """
    try:
        found = reevaluate()
    except Exception as error:
        # Beam and TFMA pass on every exception of the model's own code.
        return error, problem_of(error), False
    other_examples = _why_other_examples(candidate, found, needed)
    lacking = _lacking(candidate, found.best, needed)
    problem = f"the new evaluation has no {', '.join(lacking)}" if lacking else other_examples
    return found, problem, bool(other_examples)


def check_candidate(candidate: EvalResult, model_uri: str) -> None:
    """Checks that an evaluation is of the candidate.

    Args:
        candidate: The evaluation that was passed with the candidate.
        model_uri: URI of the candidate's Model artifact.

    Raises:
        ValueError: The evaluation is of another Model artifact.
    """
    path = candidate.model_paths.get(candidate.model_name, "")
    parent, _, name = path.rstrip("/").rpartition("/")
    # A custom_eval_shared_model may load from any path: only a path in a Model artifact counts.
    if name in _MODEL_DIRECTORIES and not _is_at(parent, model_uri):
        raise ValueError(
            f"evaluation must be of the candidate, {model_uri!r} (got an evaluation of {parent!r},"
            f" at {candidate.uri}). Pass the same model channel to Evaluator and BestExporter."
        )


def why_not_same_evaluation(again: EvalResult, before: EvalResult) -> str:
    """Returns a difference between two evaluations of one model; empty if there is none.

    Each metric of the first evaluation is compared, if the second one has it.

    Args:
        again: Evaluation of a model.
        before: Earlier evaluation of the model, which should be on the same examples.
    """
    now, then = again.example_count, before.example_count
    if now is not None and then is not None and not _are_same_count(now, then):
        texts = numbers.count(now, then), numbers.count(then, now)
        return f"it was evaluated on {texts[0]} examples, and on {texts[1]} before"
    for key, value in again.metrics.items():
        other = before.find(key)
        if other is not None and not _are_same_value(value.value, other.value):
            texts = numbers.apart(value.value, other.value)
            return f"its {key} is {texts[0]}, and was {texts[1]} before"
    return ""


def _why_other_examples(
    candidate: EvalResult, found: Reevaluated, needed: Sequence[MetricKey] | None
) -> str:
    """Returns a difference that proves other examples than the candidate's; empty if none."""
    now, before = found.best.example_count, candidate.example_count
    if now is not None and before is not None and not _are_same_count(now, before):
        texts = numbers.count(now, before), numbers.count(before, now)
        return f"`examples` has {texts[0]} examples, but the candidate was evaluated on {texts[1]}"
    for key in candidate.metrics if needed is None else needed:
        again = None if found.together is None else found.together.find(key)
        own = candidate.find(key)
        if again is None or own is None:
            continue
        if not _are_same_value(again.value, own.value):
            texts = numbers.apart(again.value, own.value)
            return (
                f"the candidate's {key} is {texts[0]} on `examples`, but {texts[1]} in its own"
                " evaluation"
            )
    return ""


def _are_same_count(one: float, other: float) -> bool:
    """Returns True if two numbers of examples are the same.

    A weighted count is a sum of floats. Its rounding depends on the order of the examples, which
    differs between runs of Beam.
    """
    if float(one).is_integer() and float(other).is_integer():
        return one == other
    return math.isclose(one, other, rel_tol=1e-5)


def _are_same_value(one: float, other: float) -> bool:
    """Returns True if two values of one model may come from the same examples.

    Models compute in single precision, and Beam changes the order of the examples, so the values
    differ by more than double precision would explain.
    """
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-6)


def _lacking(
    candidate: EvalResult, best: EvalResult, needed: Sequence[MetricKey] | None
) -> list[str]:
    """Returns the names of the metrics that the candidate has and the best lacks."""
    if needed is None:
        return [name for name in candidate if name not in best]
    return [str(key) for key in needed if candidate.find(key) and not best.find(key)]


def _is_at(path: str, uri: str) -> bool:
    return path.rstrip("/") in _names_of(uri)


def _is_at_or_below(path: str, uri: str) -> bool:
    return _is_at(path, uri) or any(path.startswith(f"{name}/") for name in _names_of(uri))


def _names_of(uri: str) -> set[str]:
    """Returns the paths by which Evaluator may have loaded the model at a URI."""
    return {uri.rstrip("/"), tensorflow_path(uri).rstrip("/")} if uri else set()


def problem_of(error: Exception) -> str:
    """Returns the type and the first line of an error of Evaluator, Beam or a model."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:500] if lines else ''}"
