"""The EvalConfig of the Evaluator that BestExporter follows, when the pipeline is built."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf import json_format
from tfx import types
from tfx.types import standard_component_specs as tfx_keys

from tfx_best_exporter.executor.deciding.configured import Configured
from tfx_best_exporter.executor.evaluations.configured import configured_of


def configured_for(evaluation: types.BaseChannel | None) -> Configured | None:
    """Returns the content of the EvalConfig behind a channel, or None if it is not known.

    Args:
        evaluation: Channel of ModelEvaluation, or None.

    Returns:
        The content of the EvalConfig. None if the channel is not an output of an Evaluator, or if
        its EvalConfig is known only when the pipeline runs.
    """
    text = _eval_config_of(evaluation)
    if not isinstance(text, str) or not text:
        return None
    try:
        return configured_of(json.loads(text))
    except (ValueError, json_format.ParseError):
        # A later TFMA may have other fields. The Evaluator checks its EvalConfig itself.
        return None


def _eval_config_of(evaluation: types.BaseChannel | None) -> Any:
    """Returns the EvalConfig as an exec property: JSON, a RuntimeParameter or a placeholder."""
    if not isinstance(evaluation, types.OutputChannel):
        return None
    producer = evaluation.producer_component
    spec = getattr(producer, "spec", None)
    if not isinstance(spec, tfx_keys.EvaluatorSpec):
        return None
    return spec.exec_properties.get(tfx_keys.EVAL_CONFIG_KEY)
