"""Commands that put a model or its evaluation into a base directory: promote, approve, adopt."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from tfx_best_exporter.cli import arguments, changes
from tfx_best_exporter.cli.arguments import How, help_of
from tfx_best_exporter.cli.errors import Command
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.storage import location_of

if TYPE_CHECKING:
    from tfx_best_exporter.executor.deciding.eval_result import EvalResult

_MAX_METRICS_BYTES = 16 << 20


def _evaluated(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --evaluation and --metrics, one of which is required."""
    for option in (
        click.option(
            "--metrics",
            metavar="FILE",
            help='JSON file {"auc": 0.93, ...}; "-" for standard input.',
        ),
        click.option(
            "--evaluation", metavar="DIR", help="Evaluator's output of the model, with its slices."
        ),
    ):
        function = option(function)
    return function


def evaluation_of(evaluation: str | None, metrics: str | None) -> EvalResult:
    """Returns the evaluation that two options name.

    Args:
        evaluation: Directory of a TFMA evaluation.
        metrics: JSON file with metrics by name; "-" for standard input.

    Raises:
        UsageError: None or both are set.
        ValueError: The content is no evaluation.
        OSError: The content cannot be read.
    """
    from tfx_best_exporter.executor.deciding.eval_result import EvalResult
    from tfx_best_exporter.executor.evaluations import tfma

    if (evaluation is None) == (metrics is None):
        raise click.UsageError(
            "set exactly one of --evaluation DIR (Evaluator's output) and --metrics FILE (JSON)."
        )
    if evaluation is not None:
        return tfma.from_tfma(evaluation)
    name = str(metrics)
    if name == "-":
        text = sys.stdin.read(_MAX_METRICS_BYTES)
    else:
        text = location_of(name).read(_MAX_METRICS_BYTES).decode("utf-8", errors="replace")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(
            f"--metrics must be a JSON file (got {name}: {error})."
            ' Write metrics by name, such as {"auc": 0.93}.'
        ) from error
    if not isinstance(found, dict):
        raise ValueError(
            f"--metrics must be a JSON object (got {type(found).__name__}, in {name})."
            ' Write metrics by name, such as {"auc": 0.93}.'
        )
    return EvalResult.from_mapping(found)


@click.command(
    "promote",
    cls=Command,
    **help_of(
        """Export a model regardless of its metrics, such as a hotfix.

        MODEL is the directory of a SavedModel. The model stays until a candidate beats it on the
        same data by the policy, or until `release`.""",
        "promote /serving/penguin /models/hotfix --metrics hotfix.json --reason incident-7",
    ),
)
@arguments.base
@click.argument("model")
@_evaluated
@arguments.reason(is_required=True)
@click.option(
    "--hold",
    "hold_seconds",
    type=arguments.DURATION,
    metavar="DURATION",
    help="Also stop runs from exporting or retiring for this long, such as 24h.",
)
@click.option(
    "--allow-signature-change",
    is_flag=True,
    help="Export the model even if its serving signatures break clients of the served version.",
)
@arguments.changes
def promote(
    base: ExportDirectory,
    model: str,
    evaluation: str | None,
    metrics: str | None,
    reason: str,
    hold_seconds: float | None,
    allow_signature_change: bool,
    how: How,
) -> None:
    """Exports a model by hand."""
    from tfx_best_exporter.executor.operating import promoting

    changes.run(
        [base],
        functools.partial(
            promoting.promote,
            model=location_of(model),
            evaluation=evaluation_of(evaluation, metrics),
            reason=reason,
            hold_seconds=hold_seconds,
            allow_signature_change=allow_signature_change,
        ),
        how,
    )


@click.command(
    "approve",
    cls=Command,
    **help_of(
        """Export a candidate that waits for approval.

        The command exports exactly the staged files, provided that the served version is still the
        one that the candidate was compared with. `status` lists the digests; the first eight digits
        are enough.""",
        "approve /serving/penguin 9f86d081 --reason reviewed",
    ),
)
@arguments.base
@click.argument("digest")
@arguments.reason(is_required=True)
@arguments.changes
def approve(base: ExportDirectory, digest: str, reason: str, how: How) -> None:
    """Exports a staged candidate."""
    from tfx_best_exporter.executor.operating import approving

    changes.run([base], functools.partial(approving.approve, digest=digest, reason=reason), how)


@click.command(
    "adopt",
    cls=Command,
    **help_of(
        """Give a record to a version that Pusher or a person wrote.

        From then on, candidates are compared with its evaluation. Without VERSION, the served
        version is adopted.""",
        "adopt /serving/penguin --evaluation /pipelines/penguin/Evaluator/evaluation/7",
    ),
)
@arguments.base
@click.argument("version", type=arguments.VERSION, required=False, metavar="[VERSION]")
@_evaluated
@arguments.reason(is_required=False)
@arguments.changes
def adopt(
    base: ExportDirectory,
    version: str | None,
    evaluation: str | None,
    metrics: str | None,
    reason: str,
    how: How,
) -> None:
    """Gives a record to a version."""
    from tfx_best_exporter.executor.operating import adopting

    changes.run(
        [base],
        functools.partial(
            adopting.adopt,
            version=version,
            evaluation=evaluation_of(evaluation, metrics),
            reason=reason,
        ),
        how,
    )


COMMANDS = (promote, approve, adopt)
