"""The EvalConfig of the Evaluator that BestExporter follows, when the pipeline is built."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf import json_format
from tfx import types
from tfx.types import standard_component_specs as tfx_keys

from tfx_best_exporter.executor.deciding.configured import Configured
from tfx_best_exporter.executor.evaluations.configured import configured_of


def has_baseline(channel: types.BaseChannel | None) -> bool:
    """Returns True if the Evaluator behind a channel has a baseline model."""
    spec = _evaluator_spec_of(channel)
    return spec is not None and tfx_keys.BASELINE_MODEL_KEY in spec.inputs


def configured_for(channel: types.BaseChannel | None) -> Configured | None:
    """Returns the content of the EvalConfig behind a channel, or None if it is not known.

    Args:
        channel: Channel of ModelEvaluation or ModelBlessing, or None.

    Returns:
        The content of the EvalConfig. None if the channel is not an output of an Evaluator, or if
        its EvalConfig is known only when the pipeline runs.
    """
    spec = _evaluator_spec_of(channel)
    # A RuntimeParameter or a placeholder is known only when the pipeline runs.
    text = None if spec is None else spec.exec_properties.get(tfx_keys.EVAL_CONFIG_KEY)
    if not isinstance(text, str) or not text:
        return None
    try:
        return configured_of(json.loads(text))
    except (ValueError, json_format.ParseError):
        # A later TFMA may have other fields. The Evaluator checks its EvalConfig itself.
        return None


def _evaluator_spec_of(channel: types.BaseChannel | None) -> Any:
    """Returns the spec of the Evaluator that a channel comes from, or None."""
    if not isinstance(channel, types.OutputChannel):
        return None
    spec = getattr(channel.producer_component, "spec", None)
    return spec if isinstance(spec, tfx_keys.EvaluatorSpec) else None
