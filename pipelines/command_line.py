"""The command `python -m pipelines.compiled`: compile and submit, for two platforms."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines import compiled, kubeflow, vertex
from pipelines.arguments import add_pipeline_arguments, name_and_value


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """The part of the command line that differs between platforms.

    Attributes:
        name: Value of --platform.
        title: Name of the platform, for --help.
        format: Format of the compiled pipeline, for --help.
        output: Default of --output.
        compile_pipeline: Function that writes the compiled pipeline. Its arguments are those of
            `compile`.
        submit: Function that starts a compiled pipeline and returns the name of the run. Its
            arguments are those of `submit`.
        compile_options: Arguments of `ArgumentParser.add_argument` by option of `compile`.
        submit_options: The same by option of `submit`.
        run_noun: Word of the platform for a run, printed before the name of the run.
    """

    name: str
    title: str
    format: str
    output: str
    compile_pipeline: Callable[..., None]
    submit: Callable[..., str]
    compile_options: Mapping[str, Mapping[str, Any]]
    submit_options: Mapping[str, Mapping[str, Any]]
    run_noun: str


_PROGRAM = "python -m pipelines.compiled"
_PLATFORMS = (
    Platform(
        name="kubeflow",
        title="Kubeflow Pipelines 2",
        format="YAML",
        output="penguin.yaml",
        compile_pipeline=kubeflow.compile_pipeline,
        submit=kubeflow.submit,
        compile_options=kubeflow.COMPILE_OPTIONS,
        submit_options=kubeflow.SUBMIT_OPTIONS,
        run_noun="Run",
    ),
    Platform(
        name="vertex",
        title="Vertex AI",
        format="JSON",
        output="penguin.json",
        compile_pipeline=vertex.compile_pipeline,
        submit=vertex.submit,
        compile_options={},
        submit_options=vertex.SUBMIT_OPTIONS,
        run_noun="Job",
    ),
)
PLATFORMS: Mapping[str, Platform] = {platform.name: platform for platform in _PLATFORMS}


def create_parser(platform: Platform) -> argparse.ArgumentParser:
    """Returns the parser of the command line for a platform."""
    parser = argparse.ArgumentParser(
        prog=_PROGRAM, description=f"The penguin pipeline on {platform.title}.", allow_abbrev=False
    )
    _add_platform(parser)
    commands = parser.add_subparsers(
        dest="command", required=True, prog=f"{_PROGRAM} --platform {platform.name}"
    )
    compile_parser = commands.add_parser("compile", help=f"write the pipeline as {platform.format}")
    _add_compile_arguments(compile_parser, platform.output)
    submit_parser = commands.add_parser("submit", help="start a compiled pipeline")
    _add_submit_arguments(submit_parser)
    for command_parser, options in (
        (compile_parser, platform.compile_options),
        (submit_parser, platform.submit_options),
    ):
        for option, settings in options.items():
            command_parser.add_argument(option, **settings)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Compiles the pipeline or starts it, as the command line asks.

    Args:
        argv: Command line without the program's name; None for that of the process.

    Returns:
        The exit code. A pipeline that cannot be compiled or started ends the process with exit code
        2 and a message.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    platform = _platform_in(words)
    parser = create_parser(platform)
    arguments = vars(parser.parse_args(words))
    del arguments["platform"]
    command = arguments.pop("command")
    try:
        if command == "compile":
            platform.compile_pipeline(**arguments)
            print(f"Compiled:  {arguments['output']}")
        else:
            arguments["parameters"] = dict(arguments["parameters"])
            print(f"{platform.run_noun}:  {platform.submit(**arguments)}")
    except compiled.PipelineError as error:
        parser.error(str(error))
    return 0


def _platform_in(words: Sequence[str]) -> Platform:
    """Returns the platform in a command line; the other options depend on it."""
    is_given = any(word.partition("=")[0] == "--platform" for word in words)
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="The penguin pipeline on Kubeflow Pipelines 2 or Vertex AI.",
        add_help=not is_given,
        allow_abbrev=False,
    )
    _add_platform(parser)
    return PLATFORMS[parser.parse_known_args(words)[0].platform]


def _add_platform(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--platform",
        required=True,
        choices=sorted(PLATFORMS),
        help="platform that runs the pipeline; `--platform NAME --help` lists its commands",
    )


def _add_compile_arguments(parser: argparse.ArgumentParser, output: str) -> None:
    parser.add_argument(
        "--image",
        required=True,
        help="image of all steps; it needs TFX, tfx-best-exporter and kfp-pipeline-spec",
    )
    parser.add_argument(
        "--light-image",
        metavar="IMAGE",
        help="image without TensorFlow for the step of BestExporter; needs --without-examples",
    )
    parser.add_argument(
        "--pipeline-root",
        required=True,
        metavar="URI",
        help="directory of all artifacts; `compile` writes the trainer's wheel to it",
    )
    parser.add_argument(
        "--base-directory",
        required=True,
        metavar="URI",
        help="directory that the model server polls",
    )
    parser.add_argument(
        "--data-root",
        required=True,
        metavar="URI",
        help="directory of the examples, Split-train/ and Split-eval/; the steps read it",
    )
    parser.add_argument(
        "--run-fn",
        metavar="NAME",
        help=f"dotted name of a training function in the image, such as {compiled.RUN_FN}"
        " (default: TFX packs the trainer module into a wheel in the pipeline root)",
    )
    parser.add_argument(
        "--without-examples",
        dest="passes_examples",
        action="store_false",
        help="do not let BestExporter evaluate the best again; it then needs no TensorFlow",
    )
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        default=pathlib.Path(output),
        metavar="FILE",
        help="file to write (default: %(default)s)",
    )
    add_pipeline_arguments(parser)


def _add_submit_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pipeline", type=pathlib.Path, help="file that `compile` wrote")
    parser.add_argument(
        "--pipeline-root",
        metavar="URI",
        help="directory of all artifacts (default: the one that was compiled into the pipeline)",
    )
    parser.add_argument(
        "--parameter",
        type=name_and_value,
        action="append",
        dest="parameters",
        default=[],
        metavar="NAME=VALUE",
        help="value of a RuntimeParameter of the pipeline; repeat the option for more parameters",
    )
