"""Commands that clean up: retire and lock."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import click

from tfx_best_exporter.cli import arguments, changes, clock, output
from tfx_best_exporter.cli.arguments import How, help_of
from tfx_best_exporter.cli.errors import ERROR, Command
from tfx_best_exporter.executor.exports.directory import ExportDirectory

if TYPE_CHECKING:
    from tfx_best_exporter.executor.exports import retention
    from tfx_best_exporter.executor.operating.retiring import RetirePlan, RetireRow


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LockItem:
    """The lock of a base directory.

    Attributes:
        base: Path or URI of the base directory.
        owner: Process that holds the lock; None if it is free.
        is_dead: True if the owner no longer renews the lock.
    """

    base: str
    owner: str | None
    is_dead: bool


@click.command(
    "retire",
    cls=Command,
    **help_of(
        """Delete old versions, and show which stay and why.

        A version stays if any option keeps it. The served version, pinned versions and versions
        without a record always stay. `retire` also works while the base directory is on hold.""",
        "retire /serving/penguin --keep 3 --keep-younger-than 7d --dry-run",
    ),
)
@arguments.base
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="N", help="Keep the N largest versions."
)
@click.option(
    "--keep-younger-than",
    type=arguments.DURATION,
    metavar="DURATION",
    help="Keep versions that are younger than this, such as 7d.",
)
@click.option(
    "--keep-every",
    type=arguments.DURATION,
    metavar="DURATION",
    help="Keep one version for each interval, such as 30d.",
)
@click.option(
    "--keep-version",
    "keep_versions",
    type=arguments.VERSION,
    multiple=True,
    metavar="VERSION",
    help="Keep this version; repeat for more.",
)
@click.option(
    "--max-bytes",
    type=click.IntRange(min=1),
    metavar="BYTES",
    help="Delete the oldest versions beyond this size, even if another option keeps them.",
)
@click.option(
    "--withdrawn", is_flag=True, help="Also delete the files of withdrawn versions for good."
)
@arguments.reason(is_required=False)
@arguments.changes
@click.pass_context
def retire(
    ctx: click.Context,
    base: ExportDirectory,
    keep: int | None,
    keep_younger_than: float | None,
    keep_every: float | None,
    keep_versions: tuple[str, ...],
    max_bytes: int | None,
    withdrawn: bool,
    reason: str,
    how: How,
) -> None:
    """Deletes versions."""
    from tfx_best_exporter.executor.operating import retiring

    policy = _policy(keep, keep_younger_than, keep_every, keep_versions, max_bytes)
    if policy is None and not withdrawn:
        raise click.UsageError(
            "say what to keep: --keep N, --keep-younger-than 7d, --keep-every 30d or --max-bytes"
            " BYTES; or delete withdrawn versions only with --withdrawn."
        )
    operation = functools.partial(
        retiring.retire,
        base,
        policy,
        withdrawn=withdrawn,
        reason=reason,
        operator=how.operator,
        now=clock.now(),
    )
    plan = operation(dry_run=True)
    if how.dry_run or not plan.retired:
        _print(plan, base, how)
        return
    if not how.yes:
        size = output.size(plan.freed_bytes)
        sentences = [
            f"version {row.version} is deleted: {row.why}" for row in plan.rows if not row.is_kept
        ]
        changes.show_effect(base.base.uri, [*sentences, f"{size} are freed"])
        changes.confirm()
    plan = operation(dry_run=False)
    _print(plan, base, how)
    ctx.exit(ERROR if any(row.error for row in plan.rows) else 0)


def _policy(
    keep: int | None,
    keep_younger_than: float | None,
    keep_every: float | None,
    keep_versions: tuple[str, ...],
    max_bytes: int | None,
) -> retention.Policy | None:
    from tfx_best_exporter.executor import policies
    from tfx_best_exporter.executor.exports import retention

    if (keep, keep_younger_than, keep_every, max_bytes) == (None,) * 4 and not keep_versions:
        return None
    given = policies.retention_policy(
        keep_latest=keep,
        keep_younger_than=keep_younger_than,
        keep_every=keep_every,
        keep_versions=[int(version) for version in keep_versions],
        max_bytes=max_bytes,
    )
    message = retention.policy_of(retention.DEFAULT_EXPORTS_TO_KEEP, given)
    return retention.Policy.from_proto(message) if message is not None else None


def _print(plan: RetirePlan, base: ExportDirectory, how: How) -> None:
    for warning in plan.warnings:
        output.note(f"Warning: {warning}")
    if how.form != "table":
        items = [
            {"base": base.base.uri, "dry_run": how.dry_run, **output.plain(row)}
            for row in plan.rows
        ]
        output.emit(how.form, "retire", items)
        return
    output.table(
        ("VERSION>", "RESULT", "SIZE>", "WHY"),
        (
            (
                str(row.version),
                _result(row, is_dry_run=how.dry_run),
                output.size(row.size_bytes) if row.size_bytes is not None else "-",
                row.error or row.why,
            )
            for row in plan.rows
        ),
    )
    verb = "would be freed" if how.dry_run else "were freed"
    click.echo(f"{output.size(plan.freed_bytes)} {verb}")


def _result(row: RetireRow, *, is_dry_run: bool) -> str:
    if row.is_kept:
        return "kept"
    if row.error:
        return "not deleted"
    return "to be deleted" if is_dry_run else "deleted"


@click.command(
    "lock",
    cls=Command,
    **help_of(
        """Show which process holds the lock, or break the lock.

        --break takes the lock of an object store away from its holder, which then publishes
        nothing. The command waits until the holder can no longer write: up to a minute. On a disk,
        the system frees the lock when its process ends.""",
        "lock /serving/penguin",
    ),
)
@arguments.bases
@click.option("--break", "is_broken", is_flag=True, help="Take the lock away from its holder.")
@arguments.reason(is_required=False)
@arguments.changes
def lock(bases: tuple[ExportDirectory, ...], is_broken: bool, reason: str, how: How) -> None:
    """Prints the owners of locks, or breaks locks."""
    from tfx_best_exporter.executor.operating import locking
    from tfx_best_exporter.executor.operating.operation import check_exists

    if is_broken:
        changes.run(bases, functools.partial(locking.break_lock, reason=reason), how)
        return
    items = []
    for exports in bases:
        check_exists(exports.base)
        owner = exports.base.storage.lock_owner((exports.state / locking.LOCK).path)
        items.append(
            LockItem(
                base=exports.base.uri,
                owner=owner.name if owner else None,
                is_dead=owner is not None and owner.is_dead,
            )
        )
    if how.form != "table":
        output.emit(how.form, "lock", [output.plain(item) for item in items])
        return
    output.table(
        ("BASE", "OWNER", "STATE"),
        (
            (
                item.base,
                item.owner or "-",
                "free" if item.owner is None else "dead" if item.is_dead else "held",
            )
            for item in items
        ),
    )


COMMANDS = (retire, lock)
