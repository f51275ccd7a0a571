"""The penguin pipeline: import, train, evaluate, export if better; for every runner.

The data are the ones that TFX carries in its wheel for its own tests, so that the pipeline needs
no download: four measurements of a penguin, scaled to [0, 1], and its species (0, 1 or 2), in 234
examples for training and 100 for evaluation.
"""

import dataclasses
import importlib.resources
import os

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2
from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode

from pipelines.penguin import trainer_module
from pipelines.penguin.trainer_module import Hyperparameters
from tfx_best_exporter.component import BestExportedModelStrategy, BestExporter

PIPELINE_NAME = "penguin"
# Below the first export's accuracy in every example, above always guessing the largest class (0.47
# of the evaluation examples): it keeps broken models out, and leaves the comparison to decide.
MIN_ACCURACY = 0.5
# In one process, one thread: the data are tiny, and starting Beam workers would take longer.
_BEAM_PIPELINE_ARGS = ["--direct_running_mode=in_memory", "--direct_num_workers=1"]


def penguin_data_root() -> str:
    """Returns the folder of TFX's own penguin data: Split-train/ and Split-eval/."""
    return str(importlib.resources.files("tfx") / "components/testdata/penguin/data")


def create_pipeline(
    *,
    pipeline_root: str,
    base_directory: str,
    metadata_path: str | None = None,
    pipeline_name: str = PIPELINE_NAME,
    data_root: str | None = None,
    hyperparameters: Hyperparameters | None = None,
    exports_to_keep: int | None = 5,
    enable_cache: bool = True,
    evaluates_best: bool = False,
) -> tfx.dsl.Pipeline:
    """Returns a pipeline that trains one candidate and exports it if it is better than the best.

    Args:
        pipeline_root: Where TFX keeps the artifacts of all runs.
        base_directory: What the model server polls; exports are written to it.
        metadata_path: The SQLite file of ML Metadata. None for a pipeline that is compiled: it
            will run where ML Metadata is somebody else's.
        pipeline_name: Runs of one name share their history.
        data_root: A folder with gzipped TFRecords of tf.train.Example in Split-train/ and
            Split-eval/. None: TFX's own penguin data.
        hyperparameters: What the candidate is trained with. None: the trainer module's defaults.
        exports_to_keep: How many exports stay in the base directory. None keeps all.
        enable_cache: Whether TFX may reuse the outputs of an earlier run with the same inputs.
        evaluates_best: Whether Evaluator evaluates the best beside the candidate, on the same
            examples. For runners that run resolver nodes: LocalDagRunner and BeamDagRunner.
    """
    example_gen = tfx.components.ImportExampleGen(
        input_base=data_root or penguin_data_root(),
        input_config=tfx.proto.Input(
            splits=[
                tfx.proto.Input.Split(name="train", pattern="Split-train/*"),
                tfx.proto.Input.Split(name="eval", pattern="Split-eval/*"),
            ]
        ),
    )
    trainer = tfx.components.Trainer(
        module_file=os.path.abspath(trainer_module.__file__),
        examples=example_gen.outputs["examples"],
        custom_config=dataclasses.asdict(hyperparameters or Hyperparameters()),
    )
    resolvers = [_create_resolver(trainer, base_directory)] if evaluates_best else []
    evaluator = tfx.components.Evaluator(
        examples=example_gen.outputs["examples"],
        model=trainer.outputs["model"],
        # Without an artifact, on the first run, Evaluator evaluates the candidate alone.
        baseline_model=resolvers[0].outputs["model"] if resolvers else None,
        eval_config=create_eval_config(),
    )
    exporter = _create_exporter(example_gen, trainer, evaluator, base_directory, exports_to_keep)
    return tfx.dsl.Pipeline(
        pipeline_name=pipeline_name,
        pipeline_root=pipeline_root,
        components=[example_gen, trainer, *resolvers, evaluator, exporter],
        enable_cache=enable_cache,
        metadata_connection_config=(
            tfx.orchestration.metadata.sqlite_metadata_connection_config(metadata_path)
            if metadata_path
            else None
        ),
        beam_pipeline_args=_BEAM_PIPELINE_ARGS,
    )


def create_eval_config() -> tfma.EvalConfig:
    """Returns what Evaluator measures, overall and by species, and what it blesses."""
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(
                signature_name="serving_default",
                label_key=trainer_module.LABEL,
                prediction_key="probabilities",
            )
        ],
        slicing_specs=[
            tfma.SlicingSpec(),
            tfma.SlicingSpec(feature_keys=[trainer_module.LABEL]),
        ],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[
                    tfma.MetricConfig(class_name="ExampleCount"),
                    tfma.MetricConfig(
                        class_name="SparseCategoricalCrossentropy", config='{"name": "loss"}'
                    ),
                    tfma.MetricConfig(
                        class_name="SparseCategoricalAccuracy",
                        # A plain `threshold` would hold for each species too.
                        per_slice_thresholds=[
                            config_pb2.PerSliceMetricThreshold(
                                slicing_specs=[tfma.SlicingSpec()],
                                threshold=tfma.MetricThreshold(
                                    value_threshold=tfma.GenericValueThreshold(
                                        lower_bound={"value": MIN_ACCURACY}
                                    )
                                ),
                            )
                        ],
                    ),
                ]
            )
        ],
    )


def _create_resolver(trainer: BaseNode, base_directory: str) -> BaseNode:
    """Returns the node whose output is the model behind the best export."""
    return tfx.dsl.Resolver(
        strategy_class=BestExportedModelStrategy,
        config={"base_directory": base_directory},
        model=trainer.outputs["model"],
    ).with_id("best_model_resolver")


def _create_exporter(
    example_gen: BaseNode,
    trainer: BaseNode,
    evaluator: BaseNode,
    base_directory: str,
    exports_to_keep: int | None,
) -> BaseNode:
    """Returns the last node. Without a compare function or policy, the smaller "loss" is better."""
    push_destination = tfx.proto.PushDestination(
        filesystem=tfx.proto.PushDestination.Filesystem(base_directory=base_directory)
    )
    return BestExporter(
        model=trainer.outputs["model"],
        evaluation=evaluator.outputs["evaluation"],
        model_blessing=evaluator.outputs["blessing"],
        # Where Evaluator was not given the best as its baseline, the best is evaluated on these.
        examples=example_gen.outputs["examples"],
        push_destination=push_destination,
        exports_to_keep=exports_to_keep,
    )
