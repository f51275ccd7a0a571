"""The candidate's blessings from the artifacts of Evaluator and InfraValidator, with reasons."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from tfx_best_exporter.executor import keys
from tfx_best_exporter.executor.arguments.artifacts import InputArtifact
from tfx_best_exporter.executor.deciding import thresholds
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.deciding.models import Blessing, BlessingStatus
from tfx_best_exporter.executor.evaluations import validation
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def blessings_of(artifacts: Mapping[str, InputArtifact]) -> tuple[Blessing, ...]:
    """Returns the blessings without reasons.

    Args:
        artifacts: The artifact of each blessing channel that is passed.
    """
    return tuple(
        Blessing(name=channel, uri=artifact.uri, status=_status_of(artifact))
        for channel, artifact in artifacts.items()
    )


def _status_of(artifact: InputArtifact) -> BlessingStatus:
    if keys.BLESSED_PROPERTY not in artifact.custom_properties:
        return BlessingStatus.NOT_COMPUTED
    is_blessed = artifact.int_custom_property(keys.BLESSED_PROPERTY) == 1
    return BlessingStatus.BLESSED if is_blessed else BlessingStatus.NOT_BLESSED


def explained(
    blessings: Sequence[Blessing], eval_result: EvalResult
) -> tuple[tuple[Blessing, ...], tuple[str, ...]]:
    """Returns the blessings with the reasons in Evaluator's evaluation, and warnings.

    Args:
        blessings: Result of `blessings_of`.
        eval_result: Evaluation of the candidate.
    """
    results: list[Blessing] = []
    warnings: list[str] = []
    for blessing in blessings:
        result = blessing
        if eval_result.source == pb.Evaluation.TFMA and blessing.name == keys.MODEL_BLESSING_KEY:
            try:
                result = _explained(blessing, eval_result)
            except (ValueError, OSError) as error:
                # The verdict is known without its reason.
                warnings.append(f"the reason for the blessing is not known: {error}")
        results.append(result)
    return tuple(results), tuple(warnings)


def _explained(blessing: Blessing, eval_result: EvalResult) -> Blessing:
    if blessing.status is BlessingStatus.NOT_COMPUTED:
        why = thresholds.missing_text(eval_result.configured)
        return dataclasses.replace(blessing, why=why)
    if blessing.status is not BlessingStatus.NOT_BLESSED:
        return blessing
    failed = validation.failed_thresholds_of(eval_result.uri, eval_result.model_name)
    return dataclasses.replace(blessing, why=thresholds.text_of(failed), failed_thresholds=failed)
