"""An entry point of containers that imports for BestExporter what BestExporter needs.

TFX's own entry point, `tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor`, imports
every component of TFX, and with them Apache Beam, TFMA and a client of Kubernetes. A step that finds
that a model is not better spends most of its time and memory on these. This entry point takes the
same arguments and writes the same output; it hands every other component over to TFX's.

Example:
    KubeflowV2DagRunnerConfig(
        default_image=image, default_commands=["python", "-m", "tfx_best_exporter.executor.container"]
    )
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import os
import runpy
import sys
from collections.abc import Iterator, Sequence

from absl import app, logging
from absl.flags import argparse_flags

OUR_EXECUTOR = "tfx_best_exporter.executor.executor.Executor"
TFX_ENTRY_POINT = "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"

# Of these packages the modules of TFX's entry point need some constants, and no __init__.
_UNNEEDED_PACKAGES = ("tfx.components", "tfx.components.evaluator")


def run(arguments: argparse.Namespace, extra_flags: Sequence[str]) -> None:
    """Runs BestExporter's executor on an ExecutorInput, and writes the ExecutorOutput.

    Args:
        arguments: As parse_arguments returns them.
        extra_flags: The other words of the command line.

    Raises:
        See Executor.Do.
    """
    logging.set_verbosity(logging.INFO)
    with _without_init(*_UNNEEDED_PACKAGES):
        from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils as utils
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2
    from tfx.dsl.components.base import base_executor
    from tfx.dsl.io import fileio
    from tfx.orchestration.portable import outputs_utils

    from tfx_best_exporter.executor.executor import Executor

    executor_input = json_format.Parse(
        arguments.json_serialized_invocation_args,
        pipeline_spec_pb2.ExecutorInput(),
        ignore_unknown_fields=True,
    )
    inputs_spec = None
    if arguments.json_serialized_inputs_spec_args:
        inputs_spec = json_format.Parse(
            arguments.json_serialized_inputs_spec_args,
            pipeline_spec_pb2.ComponentInputsSpec(),
            ignore_unknown_fields=True,
        )
    names: dict[int, str] = {}
    inputs = utils.parse_raw_artifact_dict(executor_input.inputs.artifacts, names)
    outputs = utils.parse_raw_artifact_dict(executor_input.outputs.artifacts, names)
    exec_properties = utils.parse_execution_properties(
        executor_input.inputs.parameter_values, executor_input.inputs.parameters, inputs_spec
    )
    output_file = executor_input.outputs.output_file
    task_root = os.path.dirname(output_file)
    context = base_executor.BaseExecutor.Context(
        extra_flags=list(extra_flags),
        tmp_dir=os.path.join(task_root, ".temp"),
        unique_id=os.path.basename(task_root),
    )
    Executor(context).Do(inputs, outputs, exec_properties)
    outputs_utils.tag_output_artifacts_with_version(outputs)
    executor_output = pipeline_spec_pb2.ExecutorOutput()
    for key, artifacts in utils.translate_executor_output(outputs, names).items():
        executor_output.artifacts[key].CopyFrom(artifacts)
    fileio.makedirs(task_root)
    with fileio.open(output_file, "wb") as file:
        file.write(json_format.MessageToJson(executor_output))


@contextlib.contextmanager
def _without_init(*packages: str) -> Iterator[None]:
    """Lets modules be imported out of packages whose __init__ does not run.

    What is imported while this lasts keeps what it has found there. Afterwards the packages are as
    unknown as before, and who imports one gets all of it.

    Args:
        packages: By name, a parent before what it holds; those already imported stay as they are.
    """
    before = set(sys.modules)
    for name in packages:
        spec = importlib.util.find_spec(name)
        if name not in sys.modules and spec:
            sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        yield
    finally:
        for name in set(sys.modules) - before:
            if any(name == package or name.startswith(f"{package}.") for package in packages):
                del sys.modules[name]


def parse_arguments(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Returns the arguments that TFX's compiler writes, and the other words.

    Args:
        argv: The command line, the program included.
    """
    parser = argparse_flags.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args")
    return parser.parse_known_args(argv[1:])


def main() -> None:
    """Runs the component that the command line names."""
    if parse_arguments(sys.argv)[0].executor_class_path == OUR_EXECUTOR:
        app.run(lambda parsed: run(*parsed), flags_parser=parse_arguments)
    else:
        runpy.run_module(TFX_ENTRY_POINT, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
