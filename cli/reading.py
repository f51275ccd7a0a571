"""Commands that look at one base directory: status, history, show, diff, verify."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tfx_best_exporter.cli import arguments, challengers, clock, output
from tfx_best_exporter.cli.arguments import help_of
from tfx_best_exporter.cli.errors import ERROR, PROBLEM, Command, text_of
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.redaction import redacted
from tfx_best_exporter.executor.reports import wording

if TYPE_CHECKING:
    from tfx_best_exporter.executor.operating.difference import Difference, Row
    from tfx_best_exporter.executor.operating.history import HistoryItem
    from tfx_best_exporter.executor.operating.status import DirectoryStatus, Metric
    from tfx_best_exporter.proto import best_exporter_pb2 as pb

DEFAULT_ITEMS = 20
_MOST_METRICS = 6


@click.command(
    "status",
    cls=Command,
    **help_of(
        """Show what is served, since when and why, and all problems.

        Exit code 0: a version that can be loaded is served, on hold or not, with a record or not.
        1: a version above it is broken, being written, or has two directories; the served version
        was edited or rejected; a dead process holds the lock; or nothing is served. 2: the base
        directory does not exist or cannot be read.""",
        "status /serving/penguin",
    ),
)
@arguments.bases
@arguments.output
@click.pass_context
def status(ctx: click.Context, bases: tuple[ExportDirectory, ...], form: str) -> None:
    """Prints the state of base directories."""
    from tfx_best_exporter.executor.operating.status import status as status_of

    now = clock.now()
    found: list[DirectoryStatus] = []
    exit_code = 0
    for exports in bases:
        try:
            found.append(status_of(exports, now))
        except (OSError, ValueError) as error:
            # The other base directories of a fleet are shown nevertheless.
            click.echo(f"Error: {wording.line(redacted(text_of(error)))}", err=True)
            exit_code = ERROR
    exit_code = max([exit_code, *(each.exit_code for each in found)])
    if form != "table":
        output.emit(
            form, "status", [{**output.plain(each), "exit_code": each.exit_code} for each in found]
        )
    elif len(bases) == 1:
        for each in found:
            _print_status(each, now)
    elif found:
        output.table(
            ("BASE", "VERSION>", "SINCE", "HOLD", "LOCK", "PROBLEMS"),
            (
                (
                    each.base,
                    str(each.served.version) if each.served else "none",
                    output.date(each.served.since) if each.served else "",
                    _until(each),
                    each.lock.name if each.lock else "",
                    ", ".join(problem.code for problem in each.problems),
                )
                for each in found
            ),
        )
    ctx.exit(exit_code)


def _print_status(found: DirectoryStatus, now: float) -> None:
    from tfx_best_exporter.executor.operating.status import ago

    click.echo(wording.line(found.base))
    served = found.served
    facts = [("served", "nothing")]
    if served is not None:
        since = f" since {ago(served.since, now)}" if served.since is not None else ""
        origin = "" if served.origin == "ours" else f", {_ORIGINS[served.origin]}"
        pinned = ", pinned" if served.is_pinned else ""
        facts = [
            ("served", f"version {served.version}{since}{origin}{pinned}"),
            ("why", ": ".join(filter(None, (served.reason, served.explanation)))),
            ("metrics", metrics_text(served.metrics)),
            ("run", ", ".join(filter(None, (served.pipeline_name, served.run_id)))),
            ("model of", served.trained_by),
            ("operator", served.by),
        ]
    hold = found.hold
    if hold is not None:
        facts.append(("hold", f"{_until(found)} by {hold.operator}: {hold.reason}"))
    facts.append(("at work", f"{found.lock.name} holds the lock" if found.lock else ""))
    facts.extend(("awaiting", f"{digest} waits for approval") for digest in found.awaiting)
    facts.append(("versions", str(found.version_count)))
    facts.extend(("problem", f"{each.code}: {each.text}") for each in found.problems)
    output.facts(facts)
    if found.challengers:
        click.echo()
        challengers.print_kept(found.challengers)


_ORIGINS = {
    "edited": "edited in place",
    "foreign": "without a record",
    "unknown": "which cannot be judged",
}


def _until(found: DirectoryStatus) -> str:
    if found.hold is None:
        return ""
    return f"until {output.date(found.hold.until)}" if found.hold.until else "until released"


def metrics_text(metrics: Sequence[Metric]) -> str:
    """Returns the first metrics for a line, for example "auc 0.93, loss 0.2"."""
    shown = [f"{each.name} {wording.number(each.value)}" for each in metrics[:_MOST_METRICS]]
    more = len(metrics) - len(shown)
    return ", ".join([*shown, f"and {more} more"] if more else shown)


@click.command(
    "history",
    cls=Command,
    **help_of(
        """List versions and refused runs, newest first.

        STATE is SERVED, kept, retired, withdrawn or removed for a version, and refused or failed
        for a run without one. With --all, the list has no limit, and includes operators' commands
        and runs whose candidate was served already.""",
        "history /serving/penguin -n 5 --why",
    ),
)
@arguments.bases
@click.option("--all", "include_all", is_flag=True, help="List everything.")
@click.option(
    "-n",
    "newest",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Number of items for each BASE; default: {DEFAULT_ITEMS}, with --all no limit.",
)
@click.option("--why", is_flag=True, help="Add the explanation of each decision.")
@arguments.output
def history(
    bases: tuple[ExportDirectory, ...],
    include_all: bool,
    newest: int | None,
    why: bool,
    form: str,
) -> None:
    """Prints the history of base directories."""
    from tfx_best_exporter.executor.operating.history import history as history_of

    limit = newest if newest or include_all else DEFAULT_ITEMS
    items: list[HistoryItem] = []
    for exports in bases:
        found = history_of(exports, include_all=include_all, newest=limit)
        items.extend(found.items)
        for warning in found.warnings:
            output.note(f"Warning: {warning}")
    if form != "table":
        output.emit(form, "history", [output.plain(each) for each in items])
        return
    front = ("BASE",) if len(bases) > 1 else ()
    columns = (*front, "VERSION>", "STATE", "DATE", "REASON", "METRIC", "BY")
    output.table(
        (*columns, "WHY") if why else columns,
        (
            (
                *((each.base,) if front else ()),
                str(each.version) if each.version is not None else "-",
                f"{each.state}, pinned" if each.is_pinned else each.state,
                output.date(each.at),
                each.reason,
                metrics_text(each.metrics[:1]),
                who_of(each),
                *((each.explanation,) if why else ()),
            )
            for each in items
        ),
    )


def who_of(item: HistoryItem) -> str:
    """Returns the operator or the run, and the run that trained the model if it is another one."""
    who = item.operator or item.run_id
    return f"{who} (model of {item.trained_by})" if item.trained_by else who


@click.command(
    "show",
    cls=Command,
    **help_of(
        """Show one decision: what was decided, and why.

        VERSION is a version; RUN is the id of a pipeline run, as `history` lists it. Without
        either, the newest decision is shown.""",
        "show /serving/penguin 1732240000",
    ),
)
@arguments.base
@click.argument("of", required=False, metavar="[VERSION|RUN]")
@click.option("--open", "is_opened", is_flag=True, help="Write report.html, and print its path.")
@arguments.output
def show(base: ExportDirectory, of: str | None, is_opened: bool, form: str) -> None:
    """Prints one decision."""
    from google.protobuf import json_format

    from tfx_best_exporter.executor.operating.showing import show as decision_of

    decision = decision_of(base, of)
    if is_opened:
        click.echo(_report_of(decision))
    elif form != "table":
        item = json_format.MessageToDict(decision, preserving_proto_field_name=True)
        output.emit(form, "show", [item])
    else:
        _print_decision(decision)


def _report_of(decision: pb.ExportDecision) -> str:
    import tempfile
    from pathlib import Path

    from tfx_best_exporter.executor.reports import report

    path = Path(tempfile.mkdtemp(prefix="best_exporter-")) / "report.html"
    path.write_text(report.to_html(decision), encoding="utf-8")
    return str(path)


def _print_decision(decision: pb.ExportDecision) -> None:
    from tfx_best_exporter.executor.operating.challengers import runs_of
    from tfx_best_exporter.executor.operating.status import reason_of
    from tfx_best_exporter.executor.reports.message import version_of

    runs = runs_of(decision, decision.provenance)
    version = version_of(decision)
    if decision.exported:
        title = f"version {version} was exported"
    elif version is not None:
        title = f"version {version} was served already"
    else:
        title = "not exported"
    click.echo(f"{title}: {reason_of(decision) or 'no reason is recorded'}")
    best = decision.best
    known = [("why", decision.explanation)]
    if decision.HasField("decided_at"):
        known.append(("decided", wording.time(decision.decided_at)))
    known += [
        (
            "run",
            ", ".join(filter(None, (decision.provenance.pipeline_name, runs.exporting))),
        ),
        ("candidate", decision.candidate.uri),
        ("digest", decision.candidate.digest),
        ("model of", runs.earlier),
        ("best", f"version {best.version}" if decision.HasField("best") else ""),
        *(("signature", change) for change in decision.signature_changes),
        *(("warning", warning) for warning in decision.warnings),
    ]
    output.facts(known)
    if decision.comparisons:
        click.echo()
        output.table(
            ("METRIC", "CANDIDATE>", "BEST>", "IMPROVEMENT>"),
            (
                (
                    each.metric,
                    *(
                        wording.number(getattr(each, name)) if each.HasField(name) else "-"
                        for name in ("candidate", "best", "improvement")
                    ),
                )
                for each in decision.comparisons
            ),
        )
    if decision.challenger_evidence.standings:
        click.echo()
        challengers.print_evidence(decision.challenger_evidence)
    failed = [each for each in decision.guardrails if not each.holds]
    if failed:
        click.echo()
        output.facts(("guardrail", each.explanation) for each in failed)


@click.command(
    "diff",
    cls=Command,
    **help_of(
        """Compare two versions: metrics, slices, policy, data, signatures and sizes.

        Either version may be retired or withdrawn.""",
        "diff /serving/penguin 1732240000 1732250000",
    ),
)
@arguments.base
@click.argument("first", type=arguments.VERSION, metavar="V1")
@click.argument("second", type=arguments.VERSION, metavar="V2")
@arguments.output
def diff(base: ExportDirectory, first: str, second: str, form: str) -> None:
    """Prints the differences between two versions."""
    from tfx_best_exporter.executor.operating.difference import diff as difference_of

    found = difference_of(base, first, second)
    if form != "table":
        output.emit(form, "diff", [output.plain(found)])
    else:
        _print_difference(found)


def _print_difference(found: Difference) -> None:
    is_first = True
    for title, rows in (
        ("METRIC", found.metrics),
        ("SLICE", found.slices),
        ("POLICY", found.policy),
        ("DATA", found.data),
        ("SIZE", found.sizes),
    ):
        if not rows:
            continue
        if not is_first:
            click.echo()
        is_first = False
        output.table(
            (title, f"{found.first}>", f"{found.second}>", "CHANGE>"), map(_cells_of, rows)
        )
    if found.signatures or found.notes:
        click.echo()
        output.facts(
            [
                *(("signature", each) for each in found.signatures),
                *(("note", each) for each in found.notes),
            ],
            indent="",
        )


def _cells_of(row: Row) -> tuple[str, str, str, str]:
    def text(value: float | str | None) -> str:
        if value is None:
            return "-"
        if isinstance(value, str):
            return value or "-"
        return (
            f"{value:,.0f}"
            if abs(value) >= 1e6 and float(value).is_integer()
            else wording.number(value)
        )

    change = ""
    if row.change is not None:
        change = text(row.change) if row.change <= 0 else f"+{text(row.change)}"
    return row.name, text(row.first), text(row.second), change


@click.command(
    "verify",
    cls=Command,
    **help_of(
        """Compare every byte with the record; print one line for each file.

        Without VERSION, the served version is verified. Exit code 1: a file differs, is missing or
        is not in the record.""",
        "verify /serving/penguin --all",
    ),
)
@arguments.base
@click.argument("version", type=arguments.VERSION, required=False, metavar="[VERSION]")
@click.option("--all", "every", is_flag=True, help="Verify every version.")
@arguments.output
@click.pass_context
def verify(
    ctx: click.Context, base: ExportDirectory, version: str | None, every: bool, form: str
) -> None:
    """Prints the result for each file."""
    from tfx_best_exporter.executor.operating.verifying import verify as checks_of

    if every and version is not None:
        raise click.UsageError("VERSION must not be set with --all. Leave one of them out.")
    checks = [*checks_of(base, version, every=every)]
    if form != "table":
        output.emit(form, "verify", [output.plain(each) for each in checks])
    else:
        output.table(
            ("VERSION>", "RESULT", "PROOF", "FILE", "PROBLEM"),
            (
                (
                    str(each.version),
                    "differs" if each.problem else "ok",
                    each.proof or "-",
                    each.path or "-",
                    each.problem,
                )
                for each in checks
            ),
        )
    ctx.exit(PROBLEM if any(each.problem for each in checks) else 0)


COMMANDS = (status, history, show, diff, verify)
