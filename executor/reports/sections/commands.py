"""Commands to copy: to look at the base directory, and to change what is served."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from tfx_best_exporter.executor.reports import message
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_PROGRAM = "best-exporter"
# The operator replaces it. A command without a reason is an error.
_REASON = ("--reason", "REASON")
# A longer word is not for copying.
_MAX_LENGTH = 1000


def section(decision: pb.ExportDecision) -> Sequence[tuple[str, Sequence[str]]]:
    """Returns a purpose and the words of each useful command.

    Words that a shell would read differently are quoted. There are no commands if the base
    directory is unknown, or if the page does not show its exact name, because it hides secrets and
    escapes characters that are not visible.
    """
    base = decision.base_directory
    if not _is_exact(base) or base.startswith("-"):
        return ()
    return [
        (purpose, [shlex.quote(word) for word in (_PROGRAM, *words)])
        for purpose, *words in _commands(decision)
    ]


def _commands(decision: pb.ExportDecision) -> Iterator[tuple[str, ...]]:
    """Yields a purpose, and the words of a command."""
    base, version = decision.base_directory, message.version_of(decision)
    served = message.served_version_of(decision)
    yield from _answers(decision)
    if version is not None and decision.exported:
        yield "Show this decision", "show", base, str(version)
        if decision.HasField("best"):
            before = str(decision.best.version)
            if decision.best.has_record:
                yield "Compare with the version before", "diff", base, before, str(version)
            if decision.best.version not in {each.version for each in decision.retired}:
                yield "Go back to the version before", "rollback", base, "--to", before, *_REASON
    elif _is_exact(decision.provenance.run_id) and not decision.provenance.run_id.startswith("-"):
        yield "Show this decision", "show", base, decision.provenance.run_id
    if served is not None:
        if served != version or not decision.exported:
            yield "Show why this version is served", "show", base, str(served)
        yield "Verify every file of the served version", "verify", base, str(served)
        if not decision.exported and _has_older(decision, served):
            yield "Go back to the version before the served one", "rollback", base, *_REASON
    yield "List versions and refused runs", "history", base, "--why"


def _answers(decision: pb.ExportDecision) -> Iterator[tuple[str, ...]]:
    """Yields the commands that change this decision, if an operator can do so."""
    base, digest = decision.base_directory, decision.candidate.digest
    staged = next(filter(_is_staged, decision.challenger_evidence.standings), None)
    if staged is not None:
        digest = staged.model.digest
    if decision.reason == pb.ExportDecision.ON_HOLD:
        yield "End the hold", "release", base
    elif decision.reason == pb.ExportDecision.REJECTED and _is_exact(digest):
        yield "Allow this model again", "unreject", base, digest
    elif decision.reason == pb.ExportDecision.AWAITING_APPROVAL and _is_exact(digest):
        yield "Export this model", "approve", base, digest, *_REASON


def _is_staged(standing: pb.ModelStanding) -> bool:
    return standing.next == pb.ModelStanding.STAGED


def _has_older(decision: pb.ExportDecision, served: int) -> bool:
    gone = {each.version for each in decision.retired}
    gone |= {each.version for each in decision.history if each.retired}
    known = {each.version for each in (*decision.history, *decision.kept)}
    return any(version < served for version in known - gone)


def _is_exact(word: str) -> bool:
    """Returns True if a page shows a word as it is, and no secret in it is hidden."""
    return bool(word) and word.isprintable() and "***" not in word and len(word) <= _MAX_LENGTH
