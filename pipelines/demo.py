"""Runs the penguin pipeline five times and shows the decision of BestExporter for each model.

`python -m pipelines.demo` trains a first model, a worse one, a better one, an even better one, and
the same one again. It then shows which models were exported and why, lists the files that a model
server reads, and asks the served model for a prediction. It needs no network and takes one to two
minutes.
"""

import argparse
import contextlib
import dataclasses
import os
import pathlib
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from pipelines import terminal
from pipelines.local_pipeline import WorkDirectory, run_once

if TYPE_CHECKING:
    from pipelines.decisions import StoredDecision
    from tfx_best_exporter.proto import best_exporter_pb2

EXPORTS_TO_KEEP = 2

_MARKER_NAME = ".tfx_best_exporter_demo"
_LOG_NAME = "demo.log"
_LOG_TAIL_LINES = 30
# Columns of the output to a file or a pipe: enough for the table of runs.
_FILE_WIDTH = 132


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One run of the demo, and the decision that it must have.

    Attributes:
        title: Description of the candidate in a few words.
        epochs: Number of training epochs. More epochs give a smaller loss, and the losses differ
            by much more than those of one model on two machines.
        reason: Name of the expected ExportDecision.Reason.
        retires: Number of exports that the run must retire.
    """

    title: str
    epochs: int
    reason: str
    retires: int = 0


STORY = (
    Step(title="a first model", epochs=15, reason="FIRST_EXPORT"),
    Step(title="a worse one", epochs=10, reason="NOT_BETTER"),
    Step(title="a better one", epochs=40, reason="BETTER"),
    Step(title="an even better one", epochs=80, reason="BETTER", retires=1),
    Step(title="the same one again", epochs=80, reason="ALREADY_BEST"),
)


class StoryError(Exception):
    """A run of the demo has an unexpected decision."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the demo, as the command line asks.

    Returns:
        The exit code: 0 if every decision is the expected one, 1 if not, 2 if the demo cannot
        start, 130 if the user stops it.
    """
    parser = argparse.ArgumentParser(prog="python -m pipelines.demo", description=__doc__)
    parser.add_argument(
        "--workdir",
        type=pathlib.Path,
        default=pathlib.Path("demo_output"),
        help="directory for all files; the demo empties one that it made (default: %(default)s)",
    )
    workdir: pathlib.Path = parser.parse_args(argv).workdir.resolve()
    try:
        prepare_workdir(workdir)
    except ValueError as error:
        parser.error(str(error))
    # TensorFlow reads this when it is imported. Without it, the log would be mostly TensorFlow's.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    # TFX installs the trainer module with pip, from a wheel without dependencies.
    os.environ.setdefault("PIP_NO_INDEX", "1")
    os.environ.setdefault("PIP_DISABLE_PIP_VERSION_CHECK", "1")

    log_path = workdir / _LOG_NAME
    started = time.monotonic()
    with terminal.output_to(log_path) as stream:
        console = _create_console(stream)
        try:
            stored = _run_story(workdir, console)
            _show_decisions(console, stored)
            _show_files(console, workdir, stored[-1])
            _show_prediction(console, WorkDirectory(workdir).base_directory, stored[-1])
        except KeyboardInterrupt:
            console.print("Stopped.", style="bold red")
            return 130
        except StoryError as error:
            console.print(Text(str(error), style="bold red"))
            console.print(f"See the log: {log_path}", style="bold", markup=False, soft_wrap=True)
            return 1
        except Exception as error:
            traceback.print_exc()  # To the log.
            sys.stderr.flush()
            console.print(Text(terminal.tail(log_path, _LOG_TAIL_LINES), style="dim"))
            console.print(Text(f"The demo failed: {type(error).__name__}: {error}", "bold red"))
            console.print("The last lines of the log are above. See all of it:", style="bold")
            console.print(str(log_path), markup=False, soft_wrap=True)
            return 1
        seconds = time.monotonic() - started
        console.print(
            f"\nDone in {seconds:.0f} s: each of the five decisions is the expected one.",
            style="bold green",
        )
    return 0


def prepare_workdir(workdir: pathlib.Path) -> None:
    """Makes `workdir` an empty directory.

    Args:
        workdir: Absolute path. Files of an earlier demo are deleted.

    Raises:
        ValueError: The path has other files than those of an earlier demo.
    """
    marker = workdir / _MARKER_NAME
    if marker.exists():
        shutil.rmtree(workdir)
    elif workdir.exists() and not (workdir.is_dir() and not any(workdir.iterdir())):
        raise ValueError(
            f"--workdir must be a directory that does not exist, is empty or was made by the demo "
            f"(got {str(workdir)!r}). Use another directory."
        )
    workdir.mkdir(parents=True, exist_ok=True)
    marker.write_text("The demo of tfx-best-exporter empties this directory when it starts.\n")


def run_story(workdir: pathlib.Path) -> list["best_exporter_pb2.ExportDecision"]:
    """Runs the pipeline once for each step of `STORY`, in one process.

    Args:
        workdir: Existing directory without earlier runs.

    Returns:
        The decisions, one for each step.

    Raises:
        StoryError: A decision is not the expected one.
    """
    with terminal.output_to(workdir / _LOG_NAME) as stream:
        return [stored.decision for stored in _run_story(workdir, _create_console(stream))]


def check_decision(step: Step, number: int, decision: "best_exporter_pb2.ExportDecision") -> None:
    """Raises StoryError unless `decision` is the one that `step`, number `number`, expects."""
    reason = _reason_name(decision)
    if reason != step.reason:
        raise StoryError(
            f"Run {number} ({step.title}) must have the decision {step.reason} (got {reason}: "
            f"{decision.explanation})."
        )
    retired = [entry for entry in decision.retired if not entry.error]
    if len(retired) != step.retires:
        raise StoryError(
            f"Run {number} ({step.title}) must retire {step.retires} exports (got {len(retired)})."
        )


def _run_story(workdir: pathlib.Path, console: Console) -> list["StoredDecision"]:
    with _showing(console, "Loading TensorFlow and TFX"):
        # The first import takes half a minute. The user sees a progress line meanwhile.
        import tfx.v1  # noqa: F401  # pyright: ignore[reportUnusedImport]

        import pipelines.penguin_pipeline  # noqa: F401  # pyright: ignore[reportUnusedImport]
    return [_run_step(workdir, step, number, console) for number, step in enumerate(STORY, 1)]


def _run_step(workdir: pathlib.Path, step: Step, number: int, console: Console) -> "StoredDecision":
    title = f"Run {number} of {len(STORY)}: {step.title} ({step.epochs} epochs)"
    with _showing(console, title) as progress, terminal.watch_components(progress.show):
        stored = run_once(
            WorkDirectory(workdir),
            hyperparameters={"epochs": step.epochs},
            exports_to_keep=EXPORTS_TO_KEEP,
        )
    check_decision(step, number, stored.decision)
    return stored


class _Display:
    """Progress of a task: a line with a spinner on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            # Rich would print the output of other code on the terminal.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task(escape(title))

    def show(self, detail: str) -> None:
        """Shows the part of the task that is running."""
        self._progress.update(
            self._task, description=f"{escape(self._title)}: [cyan]{escape(detail)}[/]"
        )
        if not self._console.is_terminal:
            self._console.print(f"  {detail}", markup=False)

    def __enter__(self) -> "_Display":
        if not self._console.is_terminal:
            self._console.print(f"{self._title} ...", markup=False)
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


@contextlib.contextmanager
def _showing(console: Console, title: str) -> Iterator[_Display]:
    started = time.monotonic()
    with _Display(console, title) as display:
        yield display
    seconds = time.monotonic() - started
    console.print(f"[green]✓[/] {escape(title)} [dim]{seconds:.0f} s[/]", highlight=False)


def _create_console(stream: TextIO) -> Console:
    console = Console(file=stream)
    return console if console.is_terminal else Console(file=stream, width=_FILE_WIDTH)


def _reason_name(decision: "best_exporter_pb2.ExportDecision") -> str:
    return decision.Reason.Name(decision.reason)


def _show_decisions(console: Console, stored: Sequence["StoredDecision"]) -> None:
    title = (
        f"\nDecisions of BestExporter. It keeps {EXPORTS_TO_KEEP} exports and retires older ones."
    )
    table = Table(title=title, title_justify="left", show_lines=True)
    for column in ("Run", "Epochs", "Loss", "Accuracy"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("Decision", ratio=1)
    for column in ("Served", "Retired"):
        table.add_column(column, no_wrap=True)
    for number, (step, entry) in enumerate(zip(STORY, stored, strict=True), 1):
        decision = entry.decision
        metrics = {m.key.name: m.value for m in decision.candidate_evaluation.metrics}
        outcome, style = ("exported", "green") if decision.exported else ("not exported", "yellow")
        table.add_row(
            str(number),
            str(step.epochs),
            f"{metrics['loss']:.3f}",
            f"{metrics['sparse_categorical_accuracy']:.2f}",
            Text.assemble(
                (outcome, f"bold {style}"),
                (f" ({_reason_name(decision)})\n", "dim"),
                decision.explanation,
                (
                    "\nEvaluator evaluated both models on the same examples."
                    if decision.basis == decision.SAME_EVALUATION
                    else "",
                    "dim",
                ),
            ),
            str(entry.served_version),
            "\n".join(str(retired.version) for retired in decision.retired),
        )
    console.print(table)


def _show_files(console: Console, workdir: pathlib.Path, last: "StoredDecision") -> None:
    base_directory = WorkDirectory(workdir).base_directory
    tree = Tree(Text(str(base_directory), style="bold"))
    _add_files(tree, base_directory)
    console.print(
        "\nThe base directory: a directory for each version that a model server can load, "
        "and .best_exporter/, which model servers ignore:"
    )
    console.print(tree, soft_wrap=True)
    console.print()
    for name, path in (
        ("Last decision", last.decision_path),
        ("Report of it", last.report_path),
        ("ML Metadata", WorkDirectory(workdir).metadata_path),
        ("Log of all runs", workdir / _LOG_NAME),
    ):
        if path.exists():
            console.print(f"{name + ':':<17}{path}", markup=False, highlight=False, soft_wrap=True)


def _add_files(tree: Tree, directory: pathlib.Path) -> None:
    for path in sorted(directory.iterdir()):
        if path.is_dir():
            _add_files(tree.add(Text(f"{path.name}/", style="cyan")), path)
        else:
            tree.add(Text(path.name))


def _show_prediction(
    console: Console, base_directory: pathlib.Path, last: "StoredDecision"
) -> None:
    """Asks the served model for the species of a penguin that it was not trained on."""
    import tensorflow as tf

    from pipelines import penguin_pipeline
    from pipelines.penguin import trainer_module

    eval_files = tf.io.gfile.glob(f"{penguin_pipeline.penguin_data_root()}/Split-eval/*")
    serialized = next(iter(tf.data.TFRecordDataset(eval_files, compression_type="GZIP")))
    features = tf.train.Example.FromString(serialized.numpy()).features.feature
    actual = features[trainer_module.LABEL].int64_list.value[0]

    model = tf.saved_model.load(str(base_directory / str(last.served_version)))
    outputs = model.signatures["serving_default"](examples=tf.reshape(serialized, [1]))
    predicted = int(outputs["species"][0])
    probability = float(outputs["probabilities"][0, predicted])
    console.print(
        f"\nA prediction of the served version, {last.served_version}, for a penguin of the "
        f"evaluation examples:\nspecies {predicted} with probability {probability:.2f}. "
        f"The correct answer is species {actual}.",
        highlight=False,
    )


if __name__ == "__main__":
    sys.exit(main())
