"""The decision that ModelExporter returns: the complete message, with a text and a page."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Sequence
from typing import Any

from tfx_best_exporter.executor.deciding.models import Reason
from tfx_best_exporter.executor.reports import wording
from tfx_best_exporter.executor.reports.message import version_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class ReportedDecision:
    """A decision that was made by a run, or that a run would make now.

    Every field of the message ExportDecision, such as `comparisons` or `best`, is an attribute too.

    Attributes:
        message: The complete decision, as decision.json has it.
        is_carried_out: True if a run has carried it out; False if a run would only make it now.

    Example:
        >>> exporter.run("/models/worse", {"loss": 0.35})
        <NOT_BETTER: not exported; loss 0.35 is not smaller than the best's 0.21>
    """

    message: pb.ExportDecision
    is_carried_out: bool = True

    @property
    def exported(self) -> bool:
        """True if the candidate or a challenger was exported, or would be."""
        return self.message.exported

    @property
    def reason(self) -> Reason:
        """The pb.ExportDecision.Reason, for example pb.ExportDecision.BETTER."""
        return self.message.reason

    @property
    def reason_name(self) -> str:
        """Name of the reason, for example "BETTER"."""
        return pb.ExportDecision.Reason.Name(self.message.reason)

    @property
    def explanation(self) -> str:
        """One or two sentences, with the numbers."""
        return self.message.explanation

    @property
    def version(self) -> int | None:
        """Version of the candidate or the exported challenger; None if there is none yet."""
        return version_of(self.message)

    @property
    def warnings(self) -> Sequence[str]:
        """Problems that a person should check."""
        return self.message.warnings

    def __getattr__(self, name: str) -> Any:
        """Returns a field of the message."""
        # Without this test, a copy whose message is not set yet would look for it forever.
        if name.startswith("__") or name == "message":
            raise AttributeError(name)
        return getattr(self.message, name)

    def __repr__(self) -> str:
        """Returns one line with the reason, the version and the explanation."""
        return f"<{self.reason_name}: {self._outcome}; {wording.line(self.explanation)}>"

    def _repr_html_(self) -> str:
        """Returns the decision for a notebook."""
        outcome = f"{self._outcome[0].upper()}{self._outcome[1:]}"
        warnings = "".join(f"<li>{html.escape(each)}</li>" for each in self.warnings)
        return (
            f"<p><b>{outcome}</b> ({self.reason_name}): {html.escape(self.explanation)}</p>"
            f"{f'<ul>{warnings}</ul>' if warnings else ''}"
        )

    @property
    def _outcome(self) -> str:
        if not self.is_carried_out:
            return "would be exported" if self.exported else "would not be exported"
        if self.exported:
            return f"exported as version {self.version}"
        if self.version is not None:
            return f"served already as version {self.version}"
        return "not exported"
