"""Parses the exec properties of BestExporter into typed values."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format

from tfx_best_exporter.executor import keys
from tfx_best_exporter.executor.arguments import destination
from tfx_best_exporter.executor.arguments.unservable import DEFAULT_UNSERVABLE, checked_unservable
from tfx_best_exporter.executor.deciding import policy
from tfx_best_exporter.executor.evaluations import event_files
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Evaluator evaluates this split by default.
_DEFAULT_SPLITS = ("eval",)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PriorExport:
    """The information about the best in ML Metadata, which the driver stores as JSON.

    URIs are empty if ML Metadata does not know them.

    Attributes:
        version: Version of the best; 0 if the driver found none.
        is_foreign: True if the best has no record.
        pushed_model_uri: URI of its PushedModel.
        model_uri: URI of the Model that was pushed.
        evaluation_uri: URI of that model's ModelEvaluation.
        model_blessing_uri: URI of that model's ModelBlessing.
        warnings: Differences between ML Metadata and the base directory.
    """

    version: int = 0
    is_foreign: bool = False
    pushed_model_uri: str = ""
    model_uri: str = ""
    evaluation_uri: str = ""
    model_blessing_uri: str = ""
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExecProperties:
    """The exec properties of BestExporterSpec, and those that the driver adds.

    Attributes:
        base_directory: Path or URI of the base directory.
        compare_policy: The compare policy; None for the default rule.
        default_rule: The default rule by the EvalConfig of the pipeline, for an evaluation without
            a loss; None if no rule fits, or if the EvalConfig was not known.
        retention_policy: The retention policy; None keeps every export.
        event_file_pattern: Pattern of the event files, relative to the ModelRun.
        example_splits: Names of the evaluated splits.
        serving_signatures_fn: Name of the function; empty for the model's own signatures.
        assets_extra: Destination below assets.extra/ -> source path.
        as_text: True to write saved_model.pbtxt.
        unservable: Treatment of a candidate that a model server cannot run as it is.
        state_directory: Path or URI of the state directory; empty for the default.
        is_gated: True if the component runs only on the condition that a blessing says yes.
        module_file: File with the author's functions; empty without one.
        module_path: Module in the wheel that TFX built from module_file; empty without one.
        prior_export: Result of the driver; the defaults if no driver runs.
    """

    base_directory: str
    compare_policy: pb.ComparePolicy | None = None
    default_rule: pb.DefaultRule | None = None
    retention_policy: pb.RetentionPolicy | None = None
    event_file_pattern: str = event_files.DEFAULT_EVENT_FILE_PATTERN
    example_splits: tuple[str, ...] = _DEFAULT_SPLITS
    serving_signatures_fn: str = ""
    assets_extra: Mapping[str, str] = dataclasses.field(default_factory=dict)
    as_text: bool = False
    unservable: str = DEFAULT_UNSERVABLE
    state_directory: str = ""
    is_gated: bool = False
    module_file: str = ""
    module_path: str = ""
    prior_export: PriorExport = PriorExport()


def parsed(exec_properties: Mapping[str, Any]) -> ExecProperties:
    """Returns typed values for the exec properties that TFX stores.

    Args:
        exec_properties: Values by the names in keys.py. A missing value equals an empty one.

    Raises:
        RuntimeError: The driver failed. A driver that raises would leave the execution in state
            RUNNING forever, so it passes its error to the executor.
        ValueError: push_destination, compare_policy or unservable is invalid.
        google.protobuf.json_format.ParseError: retention_policy or default_rule is invalid.
    """

    def text(key: str) -> str:
        return exec_properties.get(key) or ""

    if text(keys.DRIVER_ERROR_KEY):
        raise RuntimeError(
            "the driver of this run failed, so nothing was exported:"
            f" {exec_properties[keys.DRIVER_ERROR_KEY]}"
        )
    compare_policy, default_rule, retention_policy = None, None, None
    if text(keys.COMPARE_POLICY_KEY):
        compare_policy = policy.policy_message_of(text(keys.COMPARE_POLICY_KEY))
    if text(keys.DEFAULT_RULE_KEY):
        default_rule = json_format.Parse(text(keys.DEFAULT_RULE_KEY), pb.DefaultRule())
    if text(keys.RETENTION_POLICY_KEY):
        retention_policy = json_format.Parse(text(keys.RETENTION_POLICY_KEY), pb.RetentionPolicy())
    splits = json.loads(text(keys.EXAMPLE_SPLITS_KEY) or "null")
    return ExecProperties(
        base_directory=destination.base_directory_of(exec_properties[keys.PUSH_DESTINATION_KEY]),
        compare_policy=compare_policy,
        default_rule=default_rule,
        retention_policy=retention_policy,
        event_file_pattern=text(keys.EVENT_FILE_PATTERN_KEY)
        or event_files.DEFAULT_EVENT_FILE_PATTERN,
        example_splits=tuple(splits or _DEFAULT_SPLITS),
        serving_signatures_fn=text(keys.SERVING_SIGNATURES_FN_KEY),
        assets_extra=json.loads(text(keys.ASSETS_EXTRA_KEY) or "{}"),
        as_text=bool(exec_properties.get(keys.AS_TEXT_KEY)),
        unservable=checked_unservable(text(keys.UNSERVABLE_KEY) or DEFAULT_UNSERVABLE),
        state_directory=text(keys.STATE_DIRECTORY_KEY),
        is_gated=bool(exec_properties.get(keys.IS_GATED_KEY)),
        module_file=text(keys.MODULE_FILE_KEY),
        module_path=text(keys.MODULE_PATH_KEY),
        prior_export=_prior_export_of(json.loads(text(keys.PRIOR_EXPORT_KEY) or "{}")),
    )


def _prior_export_of(content: Mapping[str, Any]) -> PriorExport:
    # A driver of another version may have written other fields.
    known = {field.name for field in dataclasses.fields(PriorExport)}
    fields: dict[str, Any] = {name: each for name, each in content.items() if name in known}
    fields["warnings"] = tuple(fields.get("warnings", ()))
    return PriorExport(**fields)
