"""Entry point of containers: repairs what Kubeflow passes, and imports only what a step needs.

TFX's own entry point, `tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor`, cannot
parse the ExecutorInput of any release of Kubeflow Pipelines 2. It imports every component of TFX,
and with them TensorFlow, Apache Beam, TFMA and a client of Kubernetes. This module accepts the same
arguments and writes the same output. It repairs the ExecutorInput for every component; see
`kubeflow.places`. It runs a step of BestExporter without these imports, and all other components by
TFX's entry point. SIGTERM ends every component as `running.termination` describes.

Example:
    KubeflowV2DagRunnerConfig(
        default_image=image,
        default_commands=["python", "-m", "tfx_best_exporter.executor.container"],
    )
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import runpy
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import app, logging
from absl.flags import argparse_flags

from tfx_best_exporter.executor.running import termination

if TYPE_CHECKING:
    from tfx_best_exporter.executor.kubeflow.places import Invocation

# Earlier versions compiled the second name into pipelines with `examples`.
OUR_EXECUTORS = (
    "tfx_best_exporter.executor.executor.Executor",
    "tfx_best_exporter.executor.beam_executor.Executor",
)
TFX_ENTRY_POINT = "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"
_INVOCATION_FLAG = "--json_serialized_invocation_args"
# An ExecutorOutput has a few kilobytes. The limit keeps a wrong file from filling the memory.
_MAX_OUTPUT_BYTES = 64 << 20


def run(arguments: argparse.Namespace, other_words: Sequence[str]) -> None:
    """Runs a step of BestExporter on an ExecutorInput, and writes the ExecutorOutput.

    Args:
        arguments: Arguments that parse_arguments returned.
        other_words: All other words of the command line, the pipeline's beam_pipeline_args.

    Raises:
        ValueError: Beam's workers cannot read the step's artifacts.
        See step.run_step for other exceptions.
    """
    logging.set_verbosity(logging.INFO)
    # These imports are here so that other components do not wait for them.
    from tfx_best_exporter.executor import keys
    from tfx_best_exporter.executor.kubeflow import executor_input, outputs, places
    from tfx_best_exporter.executor.running import step
    from tfx_best_exporter.executor.storage import location_of, registry

    executor_input_text = arguments.json_serialized_invocation_args
    inputs_spec = arguments.json_serialized_inputs_spec_args
    invocation = places.read(executor_input_text, inputs_spec)
    task = executor_input.read(json.dumps(invocation.content), inputs_spec)
    inputs = task.step_inputs(other_words)
    if inputs.has(keys.EXAMPLES_KEY) and not places.has_local_runner(other_words):
        # TFX's compiler passes the pipeline's runner to all components. Only a second evaluation
        # uses it, so no other step waits for the import of TensorFlow.
        step.check_image(inputs)
        invocation = places.read(
            executor_input_text, inputs_spec, has_file_system=registry.is_known_to_tfx
        )
        invocation.check_runner(other_words, lambda: True)
    _prepare(invocation)
    content = executor_input.executor_output(task, step.run_step(inputs))
    outputs.remove_directory_markers(invocation.output_uris())
    location_of(task.output_file).write(content.encode())


def run_other(arguments: argparse.Namespace, other_words: Sequence[str]) -> None:
    """Runs another component by TFX's entry point on the repaired ExecutorInput.

    Args:
        arguments: Arguments that parse_arguments returned.
        other_words: All other words of the command line, the pipeline's beam_pipeline_args.

    Raises:
        SystemExit: TFX's entry point has ended.
        ValueError: Beam's workers cannot read the step's artifacts, or an input has no type.
    """
    from tfx_best_exporter.executor.kubeflow import outputs, places
    from tfx_best_exporter.executor.storage import location_of, registry

    invocation = places.read(
        arguments.json_serialized_invocation_args,
        arguments.json_serialized_inputs_spec_args,
        has_file_system=registry.is_known_to_tfx,
    )
    class_path = arguments.executor_class_path
    invocation.check_runner(other_words, lambda: _uses_beam(class_path))
    _prepare(invocation)
    sys.argv = _with_invocation(sys.argv, invocation.for_tfx())
    try:
        runpy.run_module(TFX_ENTRY_POINT, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise
    outputs.remove_directory_markers(invocation.output_uris())
    output_file = location_of(invocation.output_file)
    text = output_file.read(_MAX_OUTPUT_BYTES).decode()
    output_file.write(invocation.for_kubeflow(text).encode())


def _prepare(invocation: Invocation) -> None:
    """Mounts the launcher's folders, and empties the outputs."""
    from tfx_best_exporter.executor import storage
    from tfx_best_exporter.executor.kubeflow import outputs

    # Records and decisions name artifacts by URIs, which are the same in every container.
    for uri, folder in invocation.folders.items():
        storage.mount(uri, folder)
        logging.info("the files of %s are in %s", uri, folder)
    outputs.remove_leftovers(invocation.output_uris())


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
    """Runs the component in the command line; SIGTERM ends the process with exit code 143."""
    termination.run(_main)


def _main() -> None:
    if parse_arguments(sys.argv)[0].executor_class_path in OUR_EXECUTORS:
        app.run(lambda parsed: run(*parsed), flags_parser=parse_arguments)
    else:
        _check_pipeline_spec()
        run_other(*parse_arguments(sys.argv))


def _with_invocation(words: Sequence[str], executor_input: str) -> list[str]:
    """Returns a command line with another ExecutorInput."""
    result = list(words)
    for index, word in enumerate(words):
        if word == _INVOCATION_FLAG:
            result[index + 1] = executor_input
        elif word.startswith(f"{_INVOCATION_FLAG}="):
            result[index] = f"{_INVOCATION_FLAG}={executor_input}"
    return result


def _uses_beam(executor_class_path: str) -> bool:
    from tfx.dsl.components.base import base_beam_executor
    from tfx.utils import import_utils

    executor = import_utils.import_class_by_path(executor_class_path)
    return issubclass(executor, base_beam_executor.BaseBeamExecutor)


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
