"""The custom properties by which ML Metadata and runners show the decision of a run."""

from __future__ import annotations

import math

from tfx_best_exporter.executor import keys
from tfx_best_exporter.executor.deciding.eval_result import MetricKey
from tfx_best_exporter.executor.redaction import redacted
from tfx_best_exporter.executor.reports import message
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Number of metrics among an artifact's custom properties.
MAX_METRIC_PROPERTIES = 100
# ML Metadata stores the name of a property in a VARCHAR(255) of MySQL.
MAX_PROPERTY_NAME = 255

Property = int | float | str


def custom_properties_of(decision: pb.ExportDecision) -> dict[str, dict[str, Property]]:
    """Returns the custom properties of the outputs `pushed_model` and `decision`.

    Args:
        decision: The decision of a run.
    """
    number = message.version_of(decision)
    version = "" if number is None else str(number)
    common: dict[str, Property] = {
        keys.PUSHED_VERSION_PROPERTY: version,
        keys.BEST_VERSION_PROPERTY: (
            str(decision.best.version) if decision.HasField("best") else ""
        ),
        keys.REASON_PROPERTY: pb.ExportDecision.Reason.Name(decision.reason),
        keys.EXPLANATION_PROPERTY: redacted(decision.explanation),
        keys.NUMBER_RETIRED_PROPERTY: len([each for each in decision.retired if not each.error]),
    }
    common.update(_source_properties_of(decision))
    common.update(_metric_properties_of(decision))
    return {
        keys.PUSHED_MODEL_KEY: {
            keys.PUSHED_PROPERTY: int(bool(version)),
            keys.PUSHED_DESTINATION_PROPERTY: message.path_of_version(decision),
            **common,
        },
        keys.DECISION_KEY: {keys.EXPORTED_PROPERTY: int(decision.exported), **common},
    }


def serves_candidate(decision: pb.ExportDecision) -> bool:
    """Returns True if the candidate of a run is served when the run ends: the output `blessing`."""
    return bool(message.candidate_version_of(decision))


def _source_properties_of(decision: pb.ExportDecision) -> dict[str, str]:
    """Returns the source of an exported challenger; the inputs of the run lead to its candidate."""
    if not decision.HasField("exported_challenger"):
        return {}
    return {
        keys.EXPORTED_MODEL_PROPERTY: redacted(decision.exported_challenger.uri),
        keys.EXPORTED_MODEL_RUN_PROPERTY: next(
            each.run_id
            for each in decision.challenger_evidence.standings
            if each.model.digest == decision.exported_challenger.digest
        ),
    }


def _metric_properties_of(decision: pb.ExportDecision) -> dict[str, float]:
    """Returns the metrics of candidate and best as properties; decision.json has all of them.

    An evaluation can have thousands of metrics, and ML Metadata reads all properties of an artifact
    whenever it reads the artifact. The metrics of the rule and of the guardrails come first.
    """
    metrics = [
        (f"{prefix}{name}", name, metric.value)
        for prefix, evaluation in (
            (keys.CANDIDATE_METRIC_PREFIX, decision.candidate_evaluation),
            (keys.BEST_METRIC_PREFIX, decision.best.evaluation),
        )
        for metric in evaluation.metrics
        # Kubeflow Pipelines and Vertex AI store properties as JSON, which has only finite numbers.
        if (name := str(MetricKey.from_proto(metric.key))) and math.isfinite(metric.value)
    ]
    policy = decision.compare_policy
    parts = (policy.metric, *policy.tie_breakers, *policy.guardrails)
    decisive = {
        *(str(MetricKey.from_proto(each.metric)) for each in parts),
        *(each.metric for each in (*decision.comparisons, *decision.guardrails)),
    }
    metrics.sort(key=lambda metric: metric[1] not in decisive)
    result: dict[str, float] = {}
    for property_name, _, value in metrics:
        if len(result) == MAX_METRIC_PROPERTIES:
            break
        result.setdefault(property_name[:MAX_PROPERTY_NAME], value)
    return result
