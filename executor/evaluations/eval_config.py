"""The EvalConfig of a TFMA evaluation: the models, metrics and slices it requests."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx_best_exporter.executor.deciding.configured import Configured
from tfx_best_exporter.executor.evaluations.configured import configured_of
from tfx_best_exporter.executor.storage import foreign, location_of
from tfx_best_exporter.executor.storage.transfer import local_directory

# Evaluator writes this file next to the metrics.
EVAL_CONFIG = "eval_config.json"
_MAX_BYTES = 64 << 20
# TFMA writes this in place of a model's path if there was no model.
_NO_MODEL = "<unknown>"

# These fields name the evaluated model or the way to run it. They do not change the metrics.
_MODEL_FIELDS = ("name", "isBaseline", "modelType", "signatureName", "inferenceBatchSize")
# Bounds that a model must meet to be blessed. They do not change the metrics.
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
    """Returns the EvalConfig of an evaluation, as JSON.

    Args:
        evaluation_uri: URI of the ModelEvaluation artifact.

    Raises:
        ValueError: The file of the EvalConfig is missing or cannot be read.
    """
    uri = str(evaluation_uri)
    location = location_of(uri)
    with tempfile.TemporaryDirectory(prefix="best_exporter-") as work_path:
        names = [entry.name for entry in location.children() if entry.name == EVAL_CONFIG]
        content = _content_of(local_directory(location, Path(work_path), names), uri)
    if "evalConfig" not in content:
        raise ValueError(
            f"evaluation must contain {EVAL_CONFIG} (got none, at {uri})."
            " Check that Evaluator finished writing it."
        )
    return content["evalConfig"]


def eval_config_digest(eval_config: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of an EvalConfig without its models.

    The digest depends on the metrics, slices, labels, predictions and weights. It does not depend
    on their order, on a baseline, on thresholds, or on the way confidence intervals are computed:
    none of these changes the metrics' values.

    Args:
        eval_config: A tfma.EvalConfig as JSON, as Evaluator writes it.
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
    """Content of eval_config.json.

    Attributes:
        uri: URI of the evaluation.
        model_name: Name of the only candidate, or of the one to read; empty if there are several.
        baseline_name: Name of the baseline; None without one.
        digest: Digest of the EvalConfig; empty without one.
        model_paths: Path of each model, by model name.
        configured: Content of the EvalConfig; empty without one.
        other_names: Names of the candidates that are not read; empty unless one was chosen.
    """

    uri: str
    model_name: str
    baseline_name: str | None
    digest: str
    model_paths: Mapping[str, str]
    configured: Configured
    other_names: frozenset[str] = frozenset()

    @classmethod
    def read(cls, path: Path, uri: str, model_name: str | None = None) -> EvalRun:
        """Returns the EvalRun of an evaluation; its fields are empty if the file is missing.

        Args:
            path: Directory on this machine that has the evaluation's files.
            uri: URI of the evaluation.
            model_name: Name of the candidate to read; None to read all.

        Raises:
            ValueError: The file cannot be read, or has no such candidate.
        """
        content = _content_of(path, uri)
        try:
            with foreign.parsing():
                return cls._of(content, uri, model_name)
        except foreign.ForeignContentError as error:
            raise not_tfma(f"{EVAL_CONFIG}: {error}", uri) from error

    @classmethod
    def _of(cls, content: Mapping[str, Any], uri: str, model_name: str | None) -> EvalRun:
        eval_config = content.get("evalConfig", {})
        specs = eval_config.get("modelSpecs", [])
        names = [_text(spec.get("name", "")) for spec in specs if not spec.get("isBaseline")]
        other_names = frozenset[str]()
        if model_name is not None:
            if model_name not in names:
                raise foreign.ForeignContentError(
                    f"no model {model_name!r}, only {', '.join(names) or 'none'}"
                )
            other_names = frozenset(names) - {model_name}
            names = [model_name]
            eval_config = _without_models(eval_config, other_names)
        baselines = [_text(spec.get("name", "")) for spec in specs if spec.get("isBaseline")]
        return cls(
            uri=uri,
            model_name=names[0] if len(names) == 1 else "",
            baseline_name=baselines[0] if baselines else None,
            digest=eval_config_digest(eval_config) if eval_config else "",
            # TFMA also evaluates predictions that are part of the examples, without a model.
            model_paths={
                name: _text(path)
                for name, path in sorted(content.get("modelLocations", {}).items())
                if path != _NO_MODEL
            },
            configured=configured_of(eval_config),
            other_names=other_names,
        )


def _without_models(eval_config: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Returns an EvalConfig without some of its models, and without their own metrics."""
    return {
        **eval_config,
        "modelSpecs": [
            spec for spec in eval_config.get("modelSpecs", []) if spec.get("name", "") not in names
        ],
        "metricsSpecs": [
            spec
            for spec in eval_config.get("metricsSpecs", [])
            if not spec.get("modelNames") or {*spec["modelNames"]} - {*names}
        ],
    }


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _content_of(path: Path, uri: str) -> dict[str, Any]:
    """Returns TFMA's EvalRun as JSON, with the field names of proto3 JSON; empty without a file."""
    config_path = path / EVAL_CONFIG
    if not os.path.lexists(config_path):
        return {}
    try:
        return foreign.read_json_object(location_of(config_path), _MAX_BYTES)
    except foreign.ForeignContentError as error:
        raise not_tfma(f"{EVAL_CONFIG}: {error}", uri) from error


def not_tfma(problem: str, uri: str) -> ValueError:
    """Returns the error for an evaluation whose files TFMA cannot have written.

    Args:
        problem: The file, and its defect.
        uri: URI of the evaluation.
    """
    return ValueError(
        f"evaluation must be a TFMA evaluation (got {problem}, at {uri})."
        " Check that Evaluator finished writing it."
    )
