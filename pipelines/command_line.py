"""The commands `compile` and `submit`, which Kubeflow Pipelines and Vertex AI share."""

import argparse
import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines import compiled
from pipelines.arguments import add_pipeline_arguments


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """The part of the command line that differs between platforms.

    Attributes:
        module: Name of the module in `pipelines` that the user runs.
        title: Name of the platform, for --help.
        format: Format of the compiled pipeline, for --help.
        output: Default of --output.
        compile_pipeline: Function that writes the compiled pipeline. Its arguments are those of
            `compile`.
        submit: Function that starts a compiled pipeline and returns the name of the run. Its
            arguments are those of `submit`.
        submit_options: Arguments of `ArgumentParser.add_argument` by option of `submit`.
        run_noun: Word of the platform for a run, printed before the name of the run.
    """

    module: str
    title: str
    format: str
    output: str
    compile_pipeline: Callable[..., None]
    submit: Callable[..., str]
    submit_options: Mapping[str, Mapping[str, Any]]
    run_noun: str


def create_parser(platform: Platform) -> argparse.ArgumentParser:
    """Returns the parser of a platform's command line."""
    parser = argparse.ArgumentParser(
        prog=f"python -m pipelines.{platform.module}",
        description=f"The penguin pipeline on {platform.title}.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _add_compile_arguments(
        commands.add_parser("compile", help=f"write the pipeline as {platform.format}"),
        platform.output,
    )
    submit_parser = commands.add_parser("submit", help="start a compiled pipeline")
    submit_parser.add_argument("pipeline", type=pathlib.Path, help="file that `compile` wrote")
    for option, settings in platform.submit_options.items():
        submit_parser.add_argument(option, **settings)
    return parser


def main(platform: Platform, argv: Sequence[str] | None = None) -> int:
    """Compiles the pipeline or starts it, as the command line asks.

    Args:
        platform: Platform to compile for or to start on.
        argv: Command line without the program's name; None for that of the process.

    Returns:
        The exit code. A missing package ends the process with exit code 2.
    """
    parser = create_parser(platform)
    arguments = vars(parser.parse_args(argv))
    command = arguments.pop("command")
    try:
        if command == "compile":
            platform.compile_pipeline(**arguments)
            print(f"Compiled:  {arguments['output']}")
        else:
            print(f"{platform.run_noun}:  {platform.submit(**arguments)}")
    except compiled.MissingClientError as error:
        parser.error(str(error))
    return 0


def _add_compile_arguments(parser: argparse.ArgumentParser, output: str) -> None:
    parser.add_argument(
        "--image",
        required=True,
        help="image of all steps; it needs TFX, tfx-best-exporter and kfp-pipeline-spec",
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
        "--output",
        type=pathlib.Path,
        default=pathlib.Path(output),
        metavar="FILE",
        help="file to write (default: %(default)s)",
    )
    add_pipeline_arguments(parser)
