"""The penguin pipeline, for every runner: import examples, train, evaluate, export if better.

The pipeline needs no download: TFX ships this data set in its wheel, for its own tests. An example
has four measurements of a penguin, scaled to [0, 1], and its species (0, 1 or 2). There are 234
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
# Evaluator's minimum keeps broken models out. Guessing the largest species is right for 0.47 of the
# evaluation examples. All models of the demo reach more than 0.5, so the comparison decides.
MIN_ACCURACY = 0.5
# Beam runs in one thread of this process: starting workers takes longer than reading this data.
_BEAM_PIPELINE_ARGS = ["--direct_running_mode=in_memory", "--direct_num_workers=1"]


def penguin_data_root() -> str:
    """Returns the directory of TFX's penguin data, with Split-train/ and Split-eval/."""
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
    run_fn: str | None = None,
    passes_examples: bool = True,
) -> tfx.dsl.Pipeline:
    """Returns a pipeline that trains a candidate and exports it if it is better than the best.

    Args:
        pipeline_root: Directory of the artifacts of all runs.
        base_directory: Directory that the model server polls, and that exports are written to.
        metadata_path: SQLite file of ML Metadata. None for a compiled pipeline: its platform
            provides ML Metadata.
        pipeline_name: Name of the pipeline. Pipelines with the same name share their history.
        data_root: Directory with gzipped TFRecords of tf.train.Example in Split-train/ and
            Split-eval/; None for TFX's penguin data.
        hyperparameters: Hyperparameters of the candidate; None for the trainer module's defaults.
        exports_to_keep: Number of exports to keep in the base directory; None keeps all.
        enable_cache: True if TFX may reuse the outputs of an earlier run with the same inputs.
        evaluates_best: True if Evaluator evaluates the best and the candidate on the same
            examples. This needs a runner that runs resolvers: LocalDagRunner or BeamDagRunner.
        run_fn: Dotted name of the training function in an installed package; None to let TFX pack
            the trainer module into a wheel in the pipeline root.
        passes_examples: True if BestExporter may evaluate the best on the examples.
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
        # The steps import either a wheel of the module or a function that their image contains.
        module_file=None if run_fn else os.path.abspath(trainer_module.__file__),
        run_fn=run_fn,
        examples=example_gen.outputs["examples"],
        custom_config=dataclasses.asdict(hyperparameters or Hyperparameters()),
    )
    resolvers = [_create_resolver(trainer, base_directory)] if evaluates_best else []
    evaluator = tfx.components.Evaluator(
        examples=example_gen.outputs["examples"],
        model=trainer.outputs["model"],
        # The resolver has no output in the first run. Evaluator then evaluates the candidate only.
        baseline_model=resolvers[0].outputs["model"] if resolvers else None,
        eval_config=create_eval_config(),
    )
    exporter = BestExporter(
        # By default, the model with the smaller "loss" is better.
        model=trainer.outputs["model"],
        evaluation=evaluator.outputs["evaluation"],
        model_blessing=evaluator.outputs["blessing"],
        # BestExporter evaluates the best on these examples if Evaluator has not done it.
        examples=example_gen.outputs["examples"] if passes_examples else None,
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=base_directory)
        ),
        exports_to_keep=exports_to_keep,
    )
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
    """Returns Evaluator's metrics, overall and by species, and its minimum for a blessing."""
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
                        # `threshold` would apply to each species too.
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
    """Returns the node whose output is the model that the best export was made from."""
    return tfx.dsl.Resolver(
        strategy_class=BestExportedModelStrategy,
        config={"base_directory": base_directory},
        model=trainer.outputs["model"],
    ).with_id("best_model_resolver")
