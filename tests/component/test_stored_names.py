"""Names that are stored in pipelines, ML Metadata and exports. Changing one breaks users."""

import importlib
from collections.abc import Iterator
from typing import Any

from tfx.dsl.components.base.executor_spec import BeamExecutorSpec, ExecutorClassSpec
from tfx.types import standard_artifacts
from tfx.types.channel import Channel
from tfx.utils import import_utils

from tfx_best_exporter.component import BestExporter, ExportDecision, strategies
from tfx_best_exporter.executor import keys
from tfx_best_exporter.executor.evaluations import event_files
from tfx_best_exporter.executor.exports import directory, records
from tfx_best_exporter.proto import best_exporter_pb2

PROTO = {
    "tfx_best_exporter.SubKey": {
        "class_id": 1,
        "k": 2,
        "top_k": 3,
    },
    "tfx_best_exporter.MetricKey": {
        "name": 1,
        "model_name": 2,
        "output_name": 3,
        "sub_key": 4,
        "aggregation": 5,
        "example_weighted": 6,
    },
    "tfx_best_exporter.MetricKey.Aggregation": {
        "AGGREGATION_UNSPECIFIED": 0,
        "MICRO_AVERAGE": 1,
        "MACRO_AVERAGE": 2,
        "WEIGHTED_MACRO_AVERAGE": 3,
    },
    "tfx_best_exporter.MetricRule": {
        "metric": 1,
        "direction": 2,
        "min_absolute_change": 3,
        "min_relative_change": 4,
        "significance": 5,
        "tie_tolerance": 6,
    },
    "tfx_best_exporter.Significance": {
        "alpha": 1,
    },
    "tfx_best_exporter.Slice": {
        "features": 1,
    },
    "tfx_best_exporter.Slice.FeaturesEntry": {
        "key": 1,
        "value": 2,
    },
    "tfx_best_exporter.Guardrail": {
        "metric": 1,
        "direction": 2,
        "bound": 3,
        "max_absolute_regression": 4,
        "max_relative_regression": 5,
        "slices": 6,
        "every_slice_min_examples": 7,
        "significance": 80,
    },
    "tfx_best_exporter.ComparePolicy": {
        "metric": 1,
        "compare_fn": 2,
        "on_unknown_best": 3,
        "tie_breakers": 4,
        "guardrails": 5,
        "min_example_count": 6,
        "comparability": 7,
        "allow_signature_change": 8,
        "force": 9,
        "max_best_evaluation_age_seconds": 10,
        "approval": 11,
        "force_model": 12,
        "min_seconds_between_exports": 80,
        "allow_older_data": 81,
        "max_best_age_seconds": 82,
        "old_best_margin": 83,
    },
    "tfx_best_exporter.ComparePolicy.OnUnknownBest": {
        "ON_UNKNOWN_BEST_UNSPECIFIED": 0,
        "EXPORT": 1,
        "KEEP": 2,
        "FAIL": 3,
    },
    "tfx_best_exporter.ComparePolicy.Comparability": {
        "COMPARABILITY_UNSPECIFIED": 0,
        "REQUIRE_SAME_DATA": 1,
        "PREFER_SAME_DATA": 2,
        "ANY": 3,
    },
    "tfx_best_exporter.RetentionPolicy": {
        "keep_latest": 1,
        "keep_younger_than_seconds": 2,
        "keep_versions": 3,
        "keep_best": 4,
        "keep_every_seconds": 5,
        "max_bytes": 6,
    },
    "tfx_best_exporter.MetricValue": {
        "key": 1,
        "value": 2,
        "lower_bound": 3,
        "upper_bound": 4,
        "standard_error": 5,
        "degrees_of_freedom": 6,
    },
    "tfx_best_exporter.EvaluatedData": {
        "examples_uri": 1,
        "splits": 2,
        "eval_config_digest": 3,
        "span": 80,
    },
    "tfx_best_exporter.Evaluation": {
        "uri": 1,
        "source": 2,
        "metrics": 3,
        "example_count": 4,
        "model_name": 5,
        "data": 6,
        "evaluated_at": 7,
    },
    "tfx_best_exporter.Evaluation.Source": {
        "SOURCE_UNSPECIFIED": 0,
        "TFMA": 1,
        "EVENT_FILES": 2,
        "MAPPING": 3,
    },
    "tfx_best_exporter.ManifestEntry": {
        "path": 1,
        "size": 2,
        "crc32c": 3,
        "sha256": 4,
    },
    "tfx_best_exporter.SourceModel": {
        "uri": 1,
        "digest": 2,
    },
    "tfx_best_exporter.Provenance": {
        "pipeline_name": 1,
        "run_id": 2,
        "node_id": 3,
        "exporter_version": 4,
    },
    "tfx_best_exporter.MetricComparison": {
        "metric": 1,
        "direction": 2,
        "candidate": 3,
        "best": 4,
        "improvement": 5,
        "required": 6,
        "candidate_lower_bound": 7,
        "candidate_upper_bound": 8,
        "best_lower_bound": 9,
        "best_upper_bound": 10,
        "significance": 11,
    },
    "tfx_best_exporter.SignificanceTest": {
        "method": 1,
        "alpha": 2,
        "standard_error": 3,
        "degrees_of_freedom": 4,
        "lower_bound": 5,
        "is_significant": 6,
    },
    "tfx_best_exporter.SignificanceTest.Method": {
        "METHOD_UNSPECIFIED": 0,
        "PAIRED": 1,
        "WELCH": 2,
    },
    "tfx_best_exporter.GuardrailResult": {
        "metric": 1,
        "direction": 2,
        "slice": 3,
        "candidate": 4,
        "best": 5,
        "worst_allowed": 6,
        "holds": 7,
        "explanation": 8,
        "example_count": 9,
    },
    "tfx_best_exporter.SliceChange": {
        "slice": 1,
        "metric": 2,
        "candidate": 3,
        "best": 4,
        "improvement": 5,
        "example_count": 6,
    },
    "tfx_best_exporter.HistoryEntry": {
        "version": 1,
        "exported_at": 2,
        "metric": 3,
        "value": 4,
        "lower_bound": 5,
        "upper_bound": 6,
        "retired": 7,
    },
    "tfx_best_exporter.ExportDecision": {
        "schema_version": 1,
        "exported": 2,
        "reason": 3,
        "explanation": 4,
        "base_directory": 5,
        "version": 6,
        "candidate": 7,
        "candidate_evaluation": 8,
        "best": 9,
        "comparisons": 10,
        "retired": 11,
        "kept": 12,
        "warnings": 13,
        "decided_at": 14,
        "provenance": 15,
        "basis": 16,
        "guardrails": 17,
        "slices": 18,
        "slice_count": 19,
        "signature_changes": 20,
        "history": 21,
        "compare_policy": 22,
        "guardrail_count": 23,
        "refusals": 24,
        "default_rule": 60,
        "failed_thresholds": 61,
    },
    "tfx_best_exporter.ExportDecision.Reason": {
        "REASON_UNSPECIFIED": 0,
        "FIRST_EXPORT": 1,
        "BETTER": 2,
        "BEST_IS_NAN": 3,
        "BEST_UNKNOWN_EXPORTED": 4,
        "ALREADY_BEST": 5,
        "NOT_BETTER": 6,
        "NOT_BLESSED": 7,
        "BLESSING_NOT_COMPUTED": 8,
        "CANDIDATE_IS_NAN": 9,
        "BEST_UNKNOWN_KEPT": 10,
        "FORCED": 11,
        "GUARDRAIL_FAILED": 12,
        "NOT_SIGNIFICANT": 13,
        "NOT_COMPARABLE": 14,
        "TOO_FEW_EXAMPLES": 15,
        "SIGNATURES_CHANGED": 16,
        "BEST_EVALUATION_TOO_OLD": 17,
        "BEING_WRITTEN": 18,
        "REEXPORTED": 19,
        "ON_HOLD": 20,
        "REJECTED": 21,
        "AWAITING_APPROVAL": 22,
        "EXPORTED_RECENTLY": 50,
        "OLDER_DATA": 51,
        "BEST_TOO_OLD": 52,
    },
    "tfx_best_exporter.ExportDecision.Basis": {
        "BASIS_UNSPECIFIED": 0,
        "SAME_EVALUATION": 1,
        "EVALUATED_AGAIN": 2,
        "RECORDED_SAME_DATA": 3,
        "RECORDED_OTHER_DATA": 4,
    },
    "tfx_best_exporter.ExportDecision.Best": {
        "version": 1,
        "path": 2,
        "model": 3,
        "evaluation": 4,
        "pushed_model_uri": 5,
        "has_record": 6,
    },
    "tfx_best_exporter.ExportDecision.Retired": {
        "version": 1,
        "why": 2,
        "error": 3,
    },
    "tfx_best_exporter.ExportDecision.Kept": {
        "version": 1,
        "why": 2,
    },
    "tfx_best_exporter.ExportRecord": {
        "schema_version": 1,
        "version": 2,
        "name": 3,
        "exported_at": 4,
        "model": 5,
        "evaluation": 6,
        "manifest": 7,
        "decision": 8,
        "provenance": 9,
        "pushed_model_uri": 10,
        "recipe": 11,
        "servable_checked": 12,
        "promotion": 13,
        "approval": 14,
        "adoption": 15,
    },
    "tfx_best_exporter.ExtraAsset": {
        "destination": 1,
        "digest": 2,
    },
    "tfx_best_exporter.Recipe": {
        "as_text": 1,
        "assets_extra": 2,
        "serving_signatures_fn": 3,
        "resaved": 4,
    },
    "tfx_best_exporter.Tombstone": {
        "schema_version": 1,
        "record": 2,
        "retired_at": 3,
        "why": 4,
        "files_deleted": 5,
        "files": 6,
    },
    "tfx_best_exporter.MetricDirection": {
        "METRIC_DIRECTION_UNSPECIFIED": 0,
        "LOWER_IS_BETTER": 1,
        "HIGHER_IS_BETTER": 2,
    },
    "tfx_best_exporter.Refusal": {
        "decided_at": 1,
        "reason": 2,
        "explanation": 3,
        "metric": 4,
        "value": 5,
        "digest": 6,
        "run_id": 7,
    },
    "tfx_best_exporter.OperatorAction": {
        "operator": 1,
        "reason": 2,
        "at": 3,
    },
    "tfx_best_exporter.Hold": {
        "schema_version": 1,
        "action": 2,
        "until": 3,
    },
    "tfx_best_exporter.Rejection": {
        "schema_version": 1,
        "action": 2,
        "digest": 3,
        "version": 4,
        "model_uri": 5,
    },
    "tfx_best_exporter.Pin": {
        "schema_version": 1,
        "action": 2,
        "version": 3,
    },
    "tfx_best_exporter.Release": {
        "schema_version": 1,
        "action": 2,
        "version": 3,
    },
    "tfx_best_exporter.Withdrawal": {
        "schema_version": 1,
        "action": 2,
        "version": 3,
        "state": 4,
        "digest": 5,
        "record": 6,
        "files": 7,
        "rejects_model": 8,
    },
    "tfx_best_exporter.AwaitingApproval": {
        "schema_version": 1,
        "record": 2,
        "staged_at": 3,
        "expires_at": 4,
        "best_version": 5,
        "best_digest": 6,
    },
    "tfx_best_exporter.ComparePolicy.Approval": {
        "APPROVAL_UNSPECIFIED": 0,
        "NOT_REQUIRED": 1,
        "REQUIRED": 2,
    },
    "tfx_best_exporter.Withdrawal.State": {
        "STATE_UNSPECIFIED": 0,
        "WITHDRAWING": 1,
        "WITHDRAWN": 2,
        "RESTORING": 3,
        "PURGED": 4,
    },
    "tfx_best_exporter.DefaultRule": {
        "rule": 1,
        "why": 2,
    },
    "tfx_best_exporter.FailedThreshold": {
        "metric": 1,
        "slice": 2,
        "value": 3,
        "is_change": 4,
        "lower_bound": 5,
        "upper_bound": 6,
        "explanation": 7,
    },
}


def proto_names() -> dict[str, dict[str, int]]:
    def messages(parents: Any) -> Iterator[Any]:
        for message in parents:
            yield message
            yield from messages(message.nested_types)

    file = best_exporter_pb2.DESCRIPTOR
    found = list(messages(file.message_types_by_name.values()))
    enums = [*file.enum_types_by_name.values(), *(e for m in found for e in m.enum_types)]
    return {
        **{m.full_name: {field.name: field.number for field in m.fields} for m in found},
        **{e.full_name: {value.name: value.number for value in e.values} for e in enums},
    }


def test_stored_names():
    component = BestExporter(
        Channel(type=standard_artifacts.Model),
        Channel(type=standard_artifacts.ModelEvaluation),
        {"filesystem": {"base_directory": "/serving"}},
    )
    module = importlib.import_module("tfx_best_exporter.component.component")
    # A compiled pipeline stores only the artifact type's name, and imports the class by it.
    assert import_utils.import_class_by_path("best_exporter.ExportDecision") is ExportDecision
    assert module.BestExporter is BestExporter
    with_examples = BestExporter(
        Channel(type=standard_artifacts.Model),
        Channel(type=standard_artifacts.ModelEvaluation),
        {"filesystem": {"base_directory": "/serving"}},
        examples=Channel(type=standard_artifacts.Examples),
    )
    assert isinstance(component.executor_spec, ExecutorClassSpec)
    assert not isinstance(component.executor_spec, BeamExecutorSpec)
    # TFX passes the Beam arguments only to a Beam executor. A second evaluation needs them.
    assert isinstance(with_examples.executor_spec, BeamExecutorSpec)
    executor_class = component.executor_spec.executor_class
    beam_executor_class = with_examples.executor_spec.executor_class
    assert {
        "component": component.type,
        "driver": component.driver_class.__module__ + "." + component.driver_class.__name__,
        "executor": executor_class.__module__ + "." + executor_class.__name__,
        "beam executor": beam_executor_class.__module__ + "." + beam_executor_class.__name__,
        "artifact": ExportDecision.TYPE_NAME,
        "strategy": f"{strategies.__name__}.{strategies.BestExportedModelStrategy.__name__}",
        "inputs": sorted(component.spec.INPUTS),
        "outputs": sorted(component.spec.OUTPUTS),
        "exec properties": sorted(component.spec.PARAMETERS),
    } == {
        "component": "tfx_best_exporter.component.component.BestExporter",
        "driver": "tfx_best_exporter.component.driver.Driver",
        "executor": "tfx_best_exporter.executor.executor.Executor",
        # Pipelines compiled earlier store the name tfx_best_exporter.executor.beam_executor.
        "beam executor": "tfx_best_exporter.executor.executor.Executor",
        "artifact": "best_exporter.ExportDecision",
        "strategy": "tfx_best_exporter.component.strategies.BestExportedModelStrategy",
        "inputs": [
            "evaluation",
            "examples",
            "infra_blessing",
            "model",
            "model_blessing",
            "model_run",
        ],
        "outputs": ["blessing", "decision", "pushed_model"],
        "exec properties": [
            "as_text",
            "assets_extra",
            "compare_policy",
            "default_rule",
            "event_file_pattern",
            "example_splits",
            "is_gated",
            "module_file",
            "module_path",
            "push_destination",
            "retention_policy",
            "serving_signatures_fn",
            "state_directory",
            "unservable",
        ],
    }
    assert {
        name: value
        for name, value in vars(keys).items()
        if name.isupper() and isinstance(value, str)
    } == {
        "MODEL_KEY": "model",
        "EVALUATION_KEY": "evaluation",
        "MODEL_RUN_KEY": "model_run",
        "EXAMPLES_KEY": "examples",
        "EXAMPLE_SPLITS_KEY": "example_splits",
        "MODEL_BLESSING_KEY": "model_blessing",
        "INFRA_BLESSING_KEY": "infra_blessing",
        "PUSHED_MODEL_KEY": "pushed_model",
        "BLESSING_KEY": "blessing",
        "PUSH_DESTINATION_KEY": "push_destination",
        "MODULE_FILE_KEY": "module_file",
        "MODULE_PATH_KEY": "module_path",
        "COMPARE_POLICY_KEY": "compare_policy",
        "RETENTION_POLICY_KEY": "retention_policy",
        "EVENT_FILE_PATTERN_KEY": "event_file_pattern",
        "SERVING_SIGNATURES_FN_KEY": "serving_signatures_fn",
        "ASSETS_EXTRA_KEY": "assets_extra",
        "AS_TEXT_KEY": "as_text",
        "UNSERVABLE_KEY": "unservable",
        "STATE_DIRECTORY_KEY": "state_directory",
        "DEFAULT_RULE_KEY": "default_rule",
        "IS_GATED_KEY": "is_gated",
        "BEST_FINGERPRINT_KEY": "best_fingerprint",
        "PRIOR_EXPORT_KEY": "prior_export",
        "DRIVER_ERROR_KEY": "driver_error",
        "DECISION_KEY": "decision",
        "PUSHED_PROPERTY": "pushed",
        "PUSHED_DESTINATION_PROPERTY": "pushed_destination",
        "PUSHED_VERSION_PROPERTY": "pushed_version",
        "BLESSED_PROPERTY": "blessed",
        "CURRENT_MODEL_PROPERTY": "current_model",
        "CURRENT_MODEL_ID_PROPERTY": "current_model_id",
        "BLESSED_FILE": "BLESSED",
        "NOT_BLESSED_FILE": "NOT_BLESSED",
        "REASON_PROPERTY": "reason",
        "EXPLANATION_PROPERTY": "explanation",
        "BEST_VERSION_PROPERTY": "best_version",
        "NUMBER_RETIRED_PROPERTY": "number_retired",
        "CANDIDATE_METRIC_PREFIX": "candidate_metric_",
        "BEST_METRIC_PREFIX": "best_metric_",
        "EXPORTED_PROPERTY": "exported",
        "DECISION_FILE": "decision.json",
        "REPORT_FILE": "report.html",
        "BEST_EVALUATION_DIRECTORY": "best_evaluation",
        "COMPARE_FN_NAME": "compare_fn",
        "SERVING_SIGNATURES_FN_NAME": "serving_signatures_fn",
    }
    assert {
        "record": records.RECORD_PATH,
        "evaluation": records.EVALUATION_DIRECTORY,
        "state": directory.STATE_DIRECTORY,
        "schema": keys.SCHEMA_VERSION,
        "events": event_files.DEFAULT_EVENT_FILE_PATTERN,
    } == {
        "record": "assets.extra/best_exporter/record.json",
        "evaluation": "assets.extra/best_exporter/evaluation",
        "state": ".best_exporter",
        "schema": 1,
        "events": "eval/*.tfevents.*",
    }
    assert proto_names() == PROTO
