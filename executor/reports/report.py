"""The page that shows a decision: ExportDecision -> report.html."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format

from tfx_best_exporter.executor.reports import links, message, pages, wording
from tfx_best_exporter.executor.reports.links import Neighbors
from tfx_best_exporter.executor.reports.sections import (
    challengers,
    changes,
    commands,
    guardrails,
    history,
    metrics,
    provenance,
    slices,
)
from tfx_best_exporter.executor.reports.sections.fields import Rows, time
from tfx_best_exporter.proto import best_exporter_pb2 as pb

_PACKAGE = "tfx_best_exporter.executor.reports"
_TEMPLATE = "report.html.jinja"
_STYLE = "report.css"

_POLICY_LENGTH = 20_000


_Decision = pb.ExportDecision
# Each text continues "Exported: ", "Not exported: " or "Already served: ".
_REASONS: Mapping[int, str] = {
    _Decision.FIRST_EXPORT: "the first export",
    _Decision.BETTER: "better than the best",
    _Decision.BEST_IS_NAN: "the best's metric is NaN",
    _Decision.BEST_UNKNOWN_EXPORTED: "the evaluation of the best is not known",
    _Decision.ALREADY_BEST: "the candidate has the same content as the best",
    _Decision.NOT_BETTER: "not better than the best",
    _Decision.NOT_BLESSED: "not blessed",
    _Decision.BLESSING_NOT_COMPUTED: "a blessing was not computed",
    _Decision.CANDIDATE_IS_NAN: "the candidate's metric is NaN",
    _Decision.BEST_UNKNOWN_KEPT: "the evaluation of the best is not known",
    _Decision.FORCED: "forced by compare_policy.force",
    _Decision.GUARDRAIL_FAILED: "a guardrail failed",
    _Decision.NOT_SIGNIFICANT: "better, but not significantly",
    _Decision.NOT_COMPARABLE: "the best was not evaluated on the candidate's data",
    _Decision.TOO_FEW_EXAMPLES: "evaluated on too few examples",
    _Decision.SIGNATURES_CHANGED: "the serving signatures would break clients",
    _Decision.BEST_EVALUATION_TOO_OLD: "the best's evaluation is too old",
    _Decision.BEING_WRITTEN: "a newer version is being copied",
    _Decision.REEXPORTED: "the same model as the best, exported another way",
    _Decision.ON_HOLD: "an operator holds exports to this base directory",
    _Decision.REJECTED: "an operator has rejected this model",
    _Decision.AWAITING_APPROVAL: "staged until a person approves it",
    _Decision.EXPORTED_RECENTLY: "the last export was too short a time ago",
    _Decision.BEST_TOO_OLD: "the best is too old, and the candidate is not much worse",
    _Decision.OLDER_DATA: "the best was evaluated on newer data",
    _Decision.CHALLENGER_BETTER: "a model of an earlier run is better than the best",
    _Decision.KEPT_AS_CHALLENGER: "kept as a challenger, which the next runs measure again",
}
# Results of ordinary runs. Every other reason not to export needs a person's attention.
_ORDINARY = (
    _Decision.NOT_BETTER,
    _Decision.NOT_SIGNIFICANT,
    _Decision.EXPORTED_RECENTLY,
    _Decision.KEPT_AS_CHALLENGER,
)


def to_html(decision: pb.ExportDecision, neighbors: Neighbors | None = None) -> str:
    """Returns the page that shows a decision. It is self-contained and has no scripts.

    The same decision gives the same page. Names and sentences are shown as text, even if they
    contain markup.

    Args:
        decision: The decision of a run. Fields that are unset are left out of the page.
        neighbors: Pages to link to; None if there are none.

    Example:
        >>> page = to_html(pb.ExportDecision(reason=pb.ExportDecision.FIRST_EXPORT, exported=True))
    """
    neighbors = neighbors or Neighbors()
    return pages.rendered(_PACKAGE, _TEMPLATE, _STYLE, neighbors=neighbors, **_page(decision))


def _page(decision: pb.ExportDecision) -> dict[str, Any]:
    """Returns the variables of the template. A section without content is None or empty."""
    return {
        "verdict": _verdict(decision),
        "pipeline": decision.provenance.pipeline_name,
        "run": _run(decision),
        "facts": _facts(decision),
        "warnings": Rows.of(decision.warnings),
        "metrics": metrics.section(decision),
        "tests": metrics.tests(decision),
        "challengers": challengers.section(decision),
        "guardrails": guardrails.section(decision),
        "slices": slices.section(decision),
        "changes": changes.section(decision),
        "history": history.section(decision),
        "refusals": history.refusals(decision),
        "thresholds": Rows.of([each.explanation for each in decision.failed_thresholds]),
        "signatures": Rows.of(decision.signature_changes),
        "exports": history.exports(decision),
        "policy": [
            *wording.policy(decision.compare_policy),
            *challengers.policy(decision),
            *wording.default_rule(decision),
        ],
        "policy_json": _policy_json(decision.compare_policy),
        "commands": commands.section(decision),
        "provenance": provenance.section(decision),
        "exporter_version": decision.provenance.exporter_version,
    }


# --- the head -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    title: str
    reason: str
    code: str
    tone: str
    explanation: str


def _verdict(decision: pb.ExportDecision) -> _Verdict:
    if decision.exported:
        title, tone = "Exported", "exported"
    elif message.version_of(decision) is not None:
        title, tone = "Already served", "served"
    else:
        title = "Not exported"
        tone = "kept" if decision.reason in _ORDINARY else "refused"
    # Decisions of a later release may have reasons that this release does not know.
    is_known = decision.reason in _Decision.Reason.values()
    return _Verdict(
        title=title,
        reason=_REASONS.get(decision.reason, ""),
        code=_Decision.Reason.Name(decision.reason) if is_known else f"reason {decision.reason}",
        tone=tone,
        explanation=decision.explanation,
    )


def _run(decision: pb.ExportDecision) -> list[tuple[str, str]]:
    facts = (
        ("Pipeline", decision.provenance.pipeline_name),
        ("Run", decision.provenance.run_id),
        ("Decided", time(decision, "decided_at")),
    )
    return [(label, wording.name(value)) for label, value in facts if value]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Fact:
    """A main fact; detail and address may be empty."""

    label: str
    value: str
    detail: str = ""
    href: str = ""


def _facts(decision: pb.ExportDecision) -> list[_Fact]:
    version = message.served_version_of(decision)
    path = message.path_of_version(decision) if decision.base_directory else ""
    facts = [
        _Fact(
            label="Served now",
            value="nothing" if version is None else f"version {version}",
            detail=_exported_at(decision, version),
            href="" if version is None else links.href_of(path or decision.best.path),
        )
    ]
    if decision.exported and decision.HasField("best"):
        before = decision.best.version
        facts.append(
            _Fact(
                label="Served before",
                value=f"version {before}",
                detail=_exported_at(decision, before),
                href=links.href_of(decision.best.path),
            )
        )
    if decision.basis:
        data, source = provenance.basis(decision)
        facts.append(_Fact(label="Compared on", value=data, detail=source))
    if decision.candidate_evaluation.HasField("example_count"):
        count = wording.count(
            decision.candidate_evaluation.example_count, decision.compare_policy.min_example_count
        )
        facts.append(_Fact(label="Candidate evaluated on", value=f"{count} examples"))
    if decision.reason == _Decision.FORCED:
        force = wording.text(decision.compare_policy.force)
        facts.append(_Fact(label="Forced because", value=force))
    return facts


def _exported_at(decision: pb.ExportDecision, version: int | None) -> str:
    """Returns the time of a version's export in words; empty if it is not known."""
    if decision.exported and version == message.version_of(decision):
        return f"exported {time(decision, 'decided_at')}" if decision.HasField("decided_at") else ""
    entry = next((each for each in decision.history if each.version == version), None)
    if entry is None or not entry.HasField("exported_at"):
        return ""
    return f"exported {time(entry, 'exported_at')}"


def _policy_json(policy: pb.ComparePolicy) -> str:
    if not policy.ListFields():
        return ""
    content = json_format.MessageToJson(policy, preserving_proto_field_name=True)
    if len(content) > _POLICY_LENGTH:
        return f"{content[:_POLICY_LENGTH]}… ({len(content):,} characters)"
    return content
