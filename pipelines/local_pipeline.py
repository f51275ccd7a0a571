"""Runs the penguin pipeline once on this machine: `python -m pipelines.local_pipeline`.

A later run with other hyperparameters exports its model only if that model is better.
"""

import argparse
import dataclasses
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.arguments import add_pipeline_arguments

if TYPE_CHECKING:
    from pipelines.decisions import StoredDecision


@dataclasses.dataclass(frozen=True)
class WorkDirectory:
    """Directory with all files of one pipeline's runs.

    Attributes:
        path: Absolute path.
    """

    path: pathlib.Path

    @property
    def base_directory(self) -> pathlib.Path:
        """Directory that a model server polls."""
        return self.path / "serving" / "penguin"

    @property
    def pipeline_root(self) -> pathlib.Path:
        """Directory with the artifacts of all runs."""
        return self.path / "pipeline_root"

    @property
    def metadata_path(self) -> pathlib.Path:
        """SQLite file of ML Metadata."""
        return self.path / "metadata.sqlite"


def run_once(
    work_directory: WorkDirectory,
    *,
    hyperparameters: Mapping[str, Any],
    exports_to_keep: int | None,
    enable_cache: bool = True,
) -> "StoredDecision":
    """Runs the pipeline on LocalDagRunner and returns the decision of BestExporter.

    Args:
        work_directory: Directory for all files. Runs with the same directory compare their models.
        hyperparameters: Fields of the trainer module's `Hyperparameters` by name.
        exports_to_keep: Number of exports to keep in the base directory; None keeps all.
        enable_cache: True if TFX may reuse the outputs of an earlier run with the same inputs.
    """
    # Imports of TensorFlow and TFX take half a minute; --help should not.
    from tfx import v1 as tfx

    from pipelines import decisions, penguin_pipeline
    from pipelines.penguin import trainer_module

    pipeline = penguin_pipeline.create_pipeline(
        pipeline_root=str(work_directory.pipeline_root),
        base_directory=str(work_directory.base_directory),
        metadata_path=str(work_directory.metadata_path),
        hyperparameters=trainer_module.Hyperparameters(**hyperparameters),
        exports_to_keep=exports_to_keep,
        enable_cache=enable_cache,
        evaluates_best=True,
    )
    tfx.orchestration.LocalDagRunner().run(pipeline)
    return decisions.read_last_decision(str(work_directory.metadata_path))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the pipeline once, as the command line asks, and prints the decision.

    Returns:
        The exit code. It is 0 for a model that is not exported too: that is not an error.
    """
    arguments = vars(_create_parser().parse_args(argv))
    work_directory = WorkDirectory(arguments.pop("workdir").resolve())
    stored = run_once(
        work_directory,
        exports_to_keep=arguments.pop("exports_to_keep") or None,
        enable_cache=arguments.pop("enable_cache"),
        hyperparameters=arguments,
    )
    print(f"Exported:        {'yes' if stored.decision.exported else 'no'}")
    print(f"Reason:          {stored.decision.explanation}")
    print(f"Served version:  {stored.served_version}")
    print(f"Base directory:  {work_directory.base_directory}")
    print(f"Decision:        {stored.decision_path}")
    if stored.report_path.exists():
        print(f"Report:          {stored.report_path}")
    print(f"ML Metadata:     {work_directory.metadata_path}")
    return 0


def _create_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.local_pipeline",
        description="Train a penguin classifier and export it if it is better than the best.",
    )
    parser.add_argument(
        "--workdir",
        type=pathlib.Path,
        default=pathlib.Path("pipeline_output"),
        help="directory for all files; runs in the same one compare models (default: %(default)s)",
    )
    add_pipeline_arguments(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
