"""The executor of a BestExporter that was given examples: it may evaluate the best again."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_executor, base_executor

from tfx_best_exporter.executor import executor, exporter, keys
from tfx_best_exporter.executor.evaluations import reevaluation


class Executor(executor.Executor, base_beam_executor.BaseBeamExecutor):
    """Runs ModelExporter, and TFX's Evaluator on the best where the decision needs that.

    A Beam executor, so that TFX hands over the pipeline's beam_pipeline_args. Who gives no examples
    has the other one, and does not wait for Apache Beam to be imported.
    """

    def __init__(self, context: base_beam_executor.BaseBeamExecutor.Context | None = None):
        """Makes an Executor.

        Args:
            context: What TFX knows of the pipeline and the run.
        """
        # Not BaseBeamExecutor's own, which packages all of TFX for remote workers: that is left to
        # Evaluator's executor, for the runs that need it.
        base_executor.BaseExecutor.__init__(self, context)
        self._beam_context = context

    def _reevaluation(
        self,
        input_dict: Mapping[str, Sequence[types.Artifact]],
        exec_properties: Mapping[str, Any],
        evaluation_uri: str,
        decision_uri: str,
    ) -> exporter.Reevaluate | None:
        examples = input_dict.get(keys.EXAMPLES_KEY)
        if not examples:
            return None
        return reevaluation.Reevaluation(
            examples=examples,
            examples_uri=executor.uri_of(examples),
            splits=executor.splits_of(exec_properties),
            evaluation_uri=evaluation_uri,
            # In the pipeline's root, where Beam's workers can write; and somebody may look at it.
            output_uri=posixpath.join(decision_uri, keys.BEST_EVALUATION_DIRECTORY),
            context=self._beam_context,
        )
