"""The decision log: one line for every run and every operation on a base directory.

    .best_exporter/decisions.jsonl    the newest 1,000 lines, oldest first

The log explains the past and decides nothing. It is replaced atomically under the lock. It is plain
JSON without messages, because a fleet of base directories has hundreds of thousands of lines.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeGuard

from tfx_best_exporter.executor.keys import SCHEMA_VERSION
from tfx_best_exporter.executor.storage import foreign
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import NotAFileError, TooLargeError

MAX_LINES: Final = 1000
# The longest line that `append` writes. Longer explanations and evaluations are cut.
MAX_LINE_BYTES: Final = 16 << 10
MAX_METRICS: Final = 20

RUN: Final = "run"
ROLLBACK: Final = "rollback"
# Reason of a run that raised an error.
FAILED: Final = "FAILED"

_MAX_BYTES = MAX_LINES * MAX_LINE_BYTES
_MAX_TEXT = 1000
# The beginning of an export in a line. A text in a line has a backslash before each quotation mark.
_EXPORTED_TRUE = b'"exported":true,"version":"'
_EXPORTED = re.compile(rb'[,{]"exported":true,"version":"([0-9]{1,19})"')


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LoggedMetric:
    """One metric of a decision.

    Attributes:
        name: Name with output, sub key and aggregation.
        candidate: Value of the candidate; None if it has none.
        best: Value of the best that it was compared with; None if it has none.
    """

    name: str
    candidate: float | None
    best: float | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LoggedDecision:
    """One line of the log.

    Attributes:
        kind: "run", or the name of the operation, such as "rollback".
        at: Time in seconds since the epoch.
        reason: Name of the pb.ExportDecision.Reason, or "FAILED", of a run; empty for an operation.
        exported: True if a version appeared.
        version: Version that the run exported or the operation is about; None if there is none.
        explanation: Explanation of the decision, error of the run, or reason of the operator.
        operator: User and host of an operation; empty for a run.
        candidate_uri: URI of the candidate's Model.
        candidate_digest: Content digest of the candidate.
        best_version: Version that was served; None if none was.
        metrics: The compared metrics, those of the rule first.
        evaluation: The candidate's evaluation as the JSON of a pb.Evaluation, at most 20 metrics.
        is_cut: True if the evaluation had more metrics.
        retired: Versions that the run or operation retired.
        pipeline_name: Name of the pipeline; empty if it is not known.
        run_id: Id of the pipeline run; empty if it is not known.
        node_id: Id of the component; empty if it is not known.
    """

    kind: str = RUN
    at: float
    reason: str = ""
    exported: bool = False
    version: int | None = None
    explanation: str = ""
    operator: str = ""
    candidate_uri: str = ""
    candidate_digest: str = ""
    best_version: int | None = None
    metrics: tuple[LoggedMetric, ...] = ()
    evaluation: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    is_cut: bool = False
    retired: tuple[int, ...] = ()
    pipeline_name: str = ""
    run_id: str = ""
    node_id: str = ""

    def to_json(self) -> dict[str, Any]:
        """Returns the object of the line; versions are texts, as in decision.json."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "at": datetime.datetime.fromtimestamp(self.at, datetime.timezone.utc).isoformat(),
            "reason": self.reason,
            "exported": self.exported,
            "version": _text_of(self.version),
            "explanation": self.explanation[:_MAX_TEXT],
            "operator": self.operator[:_MAX_TEXT],
            "candidate": {"uri": self.candidate_uri[:_MAX_TEXT], "digest": self.candidate_digest},
            "best_version": _text_of(self.best_version),
            "metrics": [
                {"name": each.name, "candidate": _plain(each.candidate), "best": _plain(each.best)}
                for each in self.metrics[:MAX_METRICS]
            ],
            "evaluation": dict(self.evaluation),
            "evaluation_is_cut": self.is_cut,
            "retired": [str(version) for version in self.retired],
            "run": {
                "pipeline_name": self.pipeline_name[:_MAX_TEXT],
                "run_id": self.run_id[:_MAX_TEXT],
                "node_id": self.node_id[:_MAX_TEXT],
            },
        }

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> LoggedDecision:
        """Returns the decision of a line.

        Raises:
            ValueError: A field has the wrong type or is missing.
        """
        if line.get("schema_version") != SCHEMA_VERSION:
            raise ValueError("schema_version is not known")
        candidate, run = _object(line["candidate"]), _object(line["run"])
        return cls(
            kind=_text(line["kind"]),
            at=datetime.datetime.fromisoformat(_text(line["at"])).timestamp(),
            reason=_text(line["reason"]),
            exported=line["exported"] is True,
            version=_version(line["version"]),
            explanation=_text(line["explanation"]),
            operator=_text(line["operator"]),
            candidate_uri=_text(candidate["uri"]),
            candidate_digest=_text(candidate["digest"]),
            best_version=_version(line["best_version"]),
            metrics=tuple(
                LoggedMetric(
                    name=_text(each["name"]),
                    candidate=_number(each["candidate"]),
                    best=_number(each["best"]),
                )
                for each in line["metrics"]
            ),
            evaluation=_object(line["evaluation"]),
            is_cut=line["evaluation_is_cut"] is True,
            retired=tuple(int(version) for version in line["retired"]),
            pipeline_name=_text(run["pipeline_name"]),
            run_id=_text(run["run_id"]),
            node_id=_text(run["node_id"]),
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReadLog:
    """The content of a log.

    Attributes:
        decisions: The lines, oldest first.
        damaged: Number of lines that cannot be read.
        problem: Reason why the file cannot be read; empty if it can, or does not exist.
        skipped: Number of older lines that were not parsed.
        skipped_versions: Versions that the skipped lines have exported, as far as a search finds
            them.
        content: The file as it was read, for `append`.
    """

    decisions: tuple[LoggedDecision, ...] = ()
    damaged: int = 0
    problem: str = ""
    skipped: int = 0
    skipped_versions: frozenset[int] = frozenset()
    content: bytes = dataclasses.field(default=b"", repr=False, compare=False)


class DecisionLog:
    """The decision log of one state directory."""

    def __init__(self, location: Location, max_lines: int = MAX_LINES):
        """Makes a DecisionLog; reads and writes nothing.

        Args:
            location: File of the log; it need not exist.
            max_lines: Number of lines to keep.
        """
        self._location = location
        self._max_lines = max_lines

    def read(self, newest: int | None = None) -> ReadLog:
        """Returns the decisions; costs one read.

        Args:
            newest: Maximum number of lines to parse; None for all.

        Raises:
            OSError: The storage does not answer.
        """
        try:
            content = self._content()
        except (NotAFileError, TooLargeError, PermissionError) as error:
            return ReadLog(problem=f"cannot read {self._location}: {error}")
        skipped, lines = _split(content, newest)
        found = _parsed_all(lines)
        return ReadLog(
            content=content,
            decisions=tuple(found),
            damaged=len(lines) - len(found),
            skipped=skipped.count(b"\n") + 1 if skipped else 0,
            skipped_versions=_versions_in(skipped),
        )

    def append(self, decision: LoggedDecision, *, after: ReadLog | None = None) -> None:
        """Adds a decision, and removes the oldest beyond the limit; requires the lock.

        A file that is not a log of this form is replaced.

        Args:
            decision: The decision.
            after: The log as it was read with the same lock; None to read it now.

        Raises:
            OSError: The log cannot be written, or may not be read.
        """
        if after is not None and not after.problem:
            lines = _lines_of(after.content)
        else:
            try:
                lines = _lines_of(self._content())
            except (NotAFileError, TooLargeError):
                lines = []
        content = decision.to_json()
        line = _encoded(content)
        if len(line) > MAX_LINE_BYTES:
            line = _encoded({**content, "evaluation": {}, "evaluation_is_cut": True})
        if len(line) > MAX_LINE_BYTES:
            line = _encoded({**content, "evaluation": {}, "metrics": [], "retired": []})
        self._location.write(b"\n".join([*lines[1 - self._max_lines :], line, b""]))

    def _content(self) -> bytes:
        try:
            return self._location.read(_MAX_BYTES)
        except FileNotFoundError:
            return b""


def _lines_of(content: bytes) -> list[bytes]:
    return [line for line in content.split(b"\n") if line.strip()]


def _split(content: bytes, newest: int | None) -> tuple[bytes, list[bytes]]:
    """Returns the part of a log that is not parsed, and the lines after it."""
    if newest is None:
        return b"", _lines_of(content)
    # The other lines of a long log are not split, which would take as long as all the rest.
    head, *tail = content.rstrip().rsplit(b"\n", newest)
    if len(tail) < newest:
        return b"", _lines_of(content)
    return head, [line for line in tail if line.strip()]


def _versions_in(content: bytes) -> frozenset[int]:
    """Returns the versions that a part of a log has exported, as far as a search finds them."""
    found = []
    # A search for fixed bytes takes a tenth of the time of one for the expression.
    place = content.find(_EXPORTED_TRUE)
    while place >= 0:
        if match := _EXPORTED.match(content, place - 1):
            found.append(int(match[1]))
        place = content.find(_EXPORTED_TRUE, place + 1)
    return frozenset(found)


def _encoded(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _parsed_all(lines: Sequence[bytes]) -> list[LoggedDecision]:
    """Returns the decisions of all lines that can be read."""
    try:
        # One call for all lines takes half the time of a call for each.
        values = json.loads(b"[%b]" % b",".join(lines))
        if len(values) == len(lines):
            return [LoggedDecision.from_json(value) for value in values]
    except Exception:
        # A damaged line raises any error. The others are parsed one by one.
        pass
    return [decision for line in lines if (decision := _parsed(line)) is not None]


def _parsed(line: bytes) -> LoggedDecision | None:
    try:
        with foreign.parsing():
            value = json.loads(line)
            return LoggedDecision.from_json(value)
    except foreign.ForeignContentError:
        return None


def _plain(value: float | None) -> float | str | None:
    """Returns a number as JSON has it: NaN and infinities are texts."""
    return value if value is None or math.isfinite(value) else str(value)


def _number(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, str) or (isinstance(value, (int, float)) and value is not True):
        return float(value)
    raise ValueError("a metric is not a number")


def _text_of(version: int | None) -> str | None:
    return None if version is None else str(version)


def _version(value: object) -> int | None:
    return None if value is None else int(_text(value))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a field is not a text")
    return value


def _object(value: object) -> Mapping[str, Any]:
    if not _is_object(value):
        raise ValueError("a field is not an object")
    return value


def _is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, dict)
