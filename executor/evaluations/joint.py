"""Evaluates more than two models in one pass of TFMA, as TFX's Evaluator evaluates two.

TFMA accepts any number of models, but Evaluator raises "Cannot support more than two models". The
executor of this module reads the examples and runs TFMA as Evaluator's executor does.

The module imports TFX, TFMA and Beam, which takes seconds. It is imported only where it runs.
"""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import tensorflow_model_analysis as tfma
from tfx.components.util import tfxio_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils
from tfx.types import standard_component_specs as tfx_keys
from tfx.utils import io_utils, json_utils, proto_utils

# Evaluator passes this name to TFX's readers of examples, for their counters.
_TELEMETRY_DESCRIPTORS = ["Evaluator"]


class Executor(base_beam_executor.BaseBeamExecutor):
    """Evaluates all models of an EvalConfig.

    It differs from Evaluator's executor as follows: the number of models is not limited, a model's
    channel has the name of the model in the EvalConfig, and the URI of a model is the directory of
    its SavedModel. There is no schema, no module file and no blessing.
    """

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Evaluates the models, and writes the result as Evaluator does.

        Args:
            input_dict: `examples`, and one channel for each model of the EvalConfig.
            output_dict: `evaluation`.
            exec_properties: `eval_config` and `example_splits`, both as JSON.

        Raises:
            Exception: Beam, TFMA or a model failed.
        """
        eval_config = tfma.EvalConfig()
        proto_utils.json_to_proto(exec_properties[tfx_keys.EVAL_CONFIG_KEY], eval_config)
        models = [
            tfma.default_eval_shared_model(
                eval_saved_model_path=artifact_utils.get_single_uri(input_dict[spec.name]),
                model_name=spec.name,
                eval_config=eval_config,
                add_metrics_callbacks=None,
            )
            for spec in eval_config.model_specs
        ]
        splits = json_utils.loads(exec_properties[tfx_keys.EXAMPLE_SPLITS_KEY])
        with self._make_beam_pipeline() as pipeline:
            examples = _examples_of(pipeline, input_dict[tfx_keys.EXAMPLES_KEY], splits)
            _ = (
                examples
                | "FlattenExamples" >> beam.Flatten()
                | "ExtractEvaluateAndWriteResults"
                >> tfma.ExtractEvaluateAndWriteResults(
                    eval_shared_model=models,
                    eval_config=eval_config,
                    output_path=artifact_utils.get_single_uri(output_dict[tfx_keys.EVALUATION_KEY]),
                )
            )


def _examples_of(pipeline: Any, artifacts: list[Any], splits: list[str]) -> list[Any]:
    """Returns a PCollection of Arrow record batches for each split of each Examples artifact."""
    make_source = tfxio_utils.get_tfxio_factory_from_artifact(
        examples=artifacts,
        telemetry_descriptors=_TELEMETRY_DESCRIPTORS,
        schema=None,
        raw_record_column_name=tfma.constants.ARROW_INPUT_COLUMN,
    )
    return [
        pipeline
        | f"ReadFromTFRecordToArrow[{split}][{index}]"
        >> make_source(io_utils.all_files_pattern(uri)).BeamSource()
        for split in splits
        for index, uri in enumerate(artifact_utils.get_split_uris(artifacts, split))
    ]
