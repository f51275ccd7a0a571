"""The EvalConfig of a TFMA evaluation: the models, metrics and slices that were asked for."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.transfer import local_directory

# File that Evaluator writes beside the metrics.
EVAL_CONFIG = "eval_config.json"
# What TFMA writes where a model's path should be, if there was no model.
_NO_MODEL = "<unknown>"

# Fields of an EvalConfig that say which model is evaluated, or how; not on what, nor what of.
_MODEL_FIELDS = ("name", "isBaseline", "modelType", "signatureName", "inferenceBatchSize")
# What a model has to keep to be blessed; not what is measured.
THRESHOLD_FIELDS = (
    "threshold",
    "thresholds",
    "perSliceThresholds",
    "crossSliceThresholds",
)
_OPTIONS_WITHOUT_EFFECT = (
    "computeConfidenceIntervals",
    "confidenceIntervals",
    "disabledOutputs",
)


def eval_config_of(evaluation_uri: str | Path) -> dict[str, Any]:
    """Returns the EvalConfig that an evaluation was made with, as its JSON.

    Raises:
        ValueError: It has none, or one that cannot be read.
    """
    uri = str(evaluation_uri)
    location = location_of(uri)
    with tempfile.TemporaryDirectory(prefix="best_exporter-") as work_path:
        names = [entry.name for entry in location.children() if entry.name == EVAL_CONFIG]
        content = _content_of(local_directory(location, Path(work_path), names), uri)
    if "evalConfig" not in content:
        raise ValueError(
            f"evaluation must have its {EVAL_CONFIG} (got none, at {uri})."
            " Check that Evaluator finished writing it."
        )
    return content["evalConfig"]


def eval_config_digest(eval_config: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of an EvalConfig without its models.

    The same metrics, slices, labels, predictions and weights have the same digest, whether a model
    was evaluated alone or beside a baseline, whatever the order, and whatever bounds it had to
    keep. How intervals were computed does not count either: the values are the same.

    Args:
        eval_config: JSON of a tfma.EvalConfig, as Evaluator writes it.
    """
    model_specs = eval_config.get("modelSpecs", [])
    baselines = {spec.get("name", "") for spec in model_specs if spec.get("isBaseline")}
    metrics_specs = [
        {
            **spec,
            "metrics": _in_order(
                _without(metric, THRESHOLD_FIELDS) for metric in spec.get("metrics", [])
            ),
        }
        for spec in eval_config.get("metricsSpecs", [])
        if not baselines
        or set(spec.get("modelNames", [])) - baselines
        or not spec.get("modelNames")
    ]
    specs = [spec for spec in model_specs if not spec.get("isBaseline")]
    options = _without(eval_config.get("options", {}), _OPTIONS_WITHOUT_EFFECT)
    canonical = {
        **_without(eval_config, ("options",)),
        "modelSpecs": _in_order(_without(spec, _MODEL_FIELDS) for spec in specs or [{}]),
        "slicingSpecs": _in_order(eval_config.get("slicingSpecs", [])),
        "crossSlicingSpecs": _in_order(eval_config.get("crossSlicingSpecs", [])),
        "metricsSpecs": _in_order(
            _without(spec, (*THRESHOLD_FIELDS, "modelNames")) for spec in metrics_specs
        ),
        **({"options": options} if options else {}),
    }
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _without(content: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in fields}


def _in_order(items: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EvalRun:
    """What eval_config.json says.

    Attributes:
        uri: Of the evaluation.
        model_name: Of the sole candidate; empty if there are several.
        baseline_name: None without a baseline.
        digest: Of the EvalConfig; empty without one.
        model_paths: By model name.
    """

    uri: str
    model_name: str
    baseline_name: str | None
    digest: str
    model_paths: Mapping[str, str]

    @classmethod
    def read(cls, path: Path, uri: str) -> EvalRun:
        """Returns the EvalRun of an evaluation; everything is unknown where it has no file.

        Args:
            path: Directory on this machine that has the evaluation's files.
            uri: Of the evaluation.

        Raises:
            ValueError: The file cannot be read.
        """
        content = _content_of(path, uri)
        eval_config = content.get("evalConfig", {})
        specs = eval_config.get("modelSpecs", [])
        names = [spec.get("name", "") for spec in specs if not spec.get("isBaseline")]
        baselines = [spec.get("name", "") for spec in specs if spec.get("isBaseline")]
        return cls(
            uri=uri,
            model_name=names[0] if len(names) == 1 else "",
            baseline_name=baselines[0] if baselines else None,
            digest=eval_config_digest(eval_config) if eval_config else "",
            # Predictions that came with the examples have no model.
            model_paths={
                name: path
                for name, path in sorted(content.get("modelLocations", {}).items())
                if path != _NO_MODEL
            },
        )


def _content_of(path: Path, uri: str) -> dict[str, Any]:
    """Returns TFMA's EvalRun as JSON, with the names that proto3 JSON gives; empty without one."""
    config_path = path / EVAL_CONFIG
    if not config_path.exists():
        return {}
    try:
        content = json.loads(config_path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise not_tfma(f"{EVAL_CONFIG}: {error}", uri) from error
    if not isinstance(content, dict):
        raise not_tfma(f"{EVAL_CONFIG}: no JSON object", uri)
    return content


def not_tfma(problem: str, uri: str) -> ValueError:
    """Returns the error for an evaluation whose files are not as TFMA writes them.

    Args:
        problem: The file, and its defect.
        uri: Of the evaluation.
    """
    return ValueError(
        f"evaluation must be a TFMA evaluation (got {problem}, at {uri})."
        " Check that Evaluator finished writing it."
    )
