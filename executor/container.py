"""Entry point of containers that imports only the packages that a step of BestExporter needs.

TFX's own entry point, `tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor`, imports
every component of TFX, and with them TensorFlow, Apache Beam, TFMA and a client of Kubernetes. This
module imports none of them. It accepts the same arguments and writes the same output. It runs all
other components by TFX's entry point.

Example:
    KubeflowV2DagRunnerConfig(
        default_image=image,
        default_commands=["python", "-m", "tfx_best_exporter.executor.container"],
    )
"""

from __future__ import annotations

import argparse
import importlib
import os
import runpy
import sys
from collections.abc import Sequence

from absl import app, logging
from absl.flags import argparse_flags

# Earlier versions compiled the second name into pipelines with `examples`.
OUR_EXECUTORS = (
    "tfx_best_exporter.executor.executor.Executor",
    "tfx_best_exporter.executor.beam_executor.Executor",
)
TFX_ENTRY_POINT = "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"


def run(arguments: argparse.Namespace, other_words: Sequence[str]) -> None:
    """Runs a step of BestExporter on an ExecutorInput, and writes the ExecutorOutput.

    Args:
        arguments: Arguments that parse_arguments returned.
        other_words: All other words of the command line, the pipeline's beam_pipeline_args.

    Raises:
        See run_step.
    """
    logging.set_verbosity(logging.INFO)
    # These imports are here so that other components do not wait for them.
    from tfx_best_exporter.executor.kubeflow import executor_input
    from tfx_best_exporter.executor.running import step
    from tfx_best_exporter.executor.storage import location_of

    task = executor_input.read(
        arguments.json_serialized_invocation_args, arguments.json_serialized_inputs_spec_args
    )
    outputs = step.run_step(task.step_inputs(other_words))
    content = executor_input.executor_output(task, outputs)
    location_of(task.output_file).write(content.encode())


def parse_arguments(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Returns the arguments that TFX's compiler writes, and all other words.

    Args:
        argv: Command line, including the program.
    """
    parser = argparse_flags.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args")
    return parser.parse_known_args(argv[1:])


def main() -> None:
    """Runs the component in the command line."""
    if parse_arguments(sys.argv)[0].executor_class_path in OUR_EXECUTORS:
        app.run(lambda parsed: run(*parsed), flags_parser=parse_arguments)
    else:
        _check_pipeline_spec()
        runpy.run_module(TFX_ENTRY_POINT, run_name="__main__", alter_sys=True)


def _check_pipeline_spec() -> None:
    """Exits with a remedy if kfp-pipeline-spec is missing, which TFX needs but does not install."""
    # This variable makes a full installation of kfp skip the import of its client.
    os.environ.setdefault("_KFP_RUNTIME", "true")
    try:
        importlib.import_module("kfp.pipeline_spec.pipeline_spec_pb2")
    except ModuleNotFoundError as error:
        # A full installation of kfp also has this package, but may lack another module.
        if (error.name or "").partition(".")[0] != "kfp":
            raise
        sys.exit(
            "kfp-pipeline-spec must be installed in the image (got"
            f" {type(error).__name__}: {error}). Run pip install kfp-pipeline-spec when you build"
            " the image."
        )


if __name__ == "__main__":
    main()
