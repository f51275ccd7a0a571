"""The origin of candidate, best and decision."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from tfx_best_exporter.executor.reports import links, message, wording
from tfx_best_exporter.executor.reports.sections import fields
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# The data that was compared on, and the source of the best's evaluation.
BASES: Mapping[int, tuple[str, str]] = {
    pb.ExportDecision.SAME_EVALUATION: ("the same data", "one evaluation of both models"),
    pb.ExportDecision.EVALUATED_AGAIN: (
        "the same data",
        "the best was evaluated again on the candidate's examples",
    ),
    pb.ExportDecision.RECORDED_SAME_DATA: ("the same data", "the best's recorded evaluation"),
    pb.ExportDecision.RECORDED_OTHER_DATA: (
        "other data, or data that was not recorded",
        "the best's recorded evaluation",
    ),
}
# Labels of values that are paths or URIs.
_ADDRESSES = ("Base directory", "Model", "Evaluation", "Evaluated on", "Directory", "PushedModel")
_SOURCES: Mapping[int, str] = {
    pb.Evaluation.TFMA: "TensorFlow Model Analysis",
    pb.Evaluation.EVENT_FILES: "event files",
    pb.Evaluation.MAPPING: "passed by the caller",
}


def basis(decision: pb.ExportDecision) -> tuple[str, str]:
    """Returns the data that was compared on, and the source of the best's evaluation."""
    return BASES.get(decision.basis, (f"basis {decision.basis}", ""))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """A row of the provenance: the same fact about both models."""

    label: str
    candidate: str
    best: str
    # Addresses of the values; empty for a value that is no link.
    candidate_href: str
    best_href: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Provenance:
    # A label, a value and its address.
    run: Sequence[tuple[str, str, str]]
    models: Sequence[_Field]
    has_best: bool


def section(decision: pb.ExportDecision) -> _Provenance:
    """Returns the origin of the decision, and the known facts about both models."""
    run = (
        ("Base directory", decision.base_directory),
        ("Pipeline", decision.provenance.pipeline_name),
        ("Run", decision.provenance.run_id),
        ("Component", decision.provenance.node_id),
        ("tfx-best-exporter", decision.provenance.exporter_version),
        ("Decided", fields.time(decision, "decided_at")),
        ("Compared on", ": ".join(filter(None, basis(decision))) if decision.basis else ""),
        ("Schema of the decision", str(decision.schema_version or "")),
    )
    candidate = _model(
        message.candidate_version_of(decision), decision.candidate, decision.candidate_evaluation
    )
    best: Mapping[str, str] = {}
    if decision.HasField("best"):
        best = {
            **_model(decision.best.version, decision.best.model, decision.best.evaluation),
            "Directory": decision.best.path,
            "PushedModel": decision.best.pushed_model_uri,
            "Record": "yes" if decision.best.has_record else "none: written by another tool",
        }
    labels = dict.fromkeys([*candidate, *best])
    return _Provenance(
        run=[(label, value, _href(label, value)) for label, value in run if value],
        models=[
            _Field(
                label=label,
                candidate=candidate.get(label, ""),
                best=best.get(label, ""),
                candidate_href=_href(label, candidate.get(label, "")),
                best_href=_href(label, best.get(label, "")),
            )
            for label in labels
            if candidate.get(label) or best.get(label)
        ],
        has_best=bool(best),
    )


def _href(label: str, value: str) -> str:
    return links.href_of(value) if label in _ADDRESSES else ""


def _model(version: int | None, model: pb.SourceModel, evaluation: pb.Evaluation) -> dict[str, str]:
    """Returns the known facts about a model and its evaluation, by label."""
    return {
        "Version": "" if version is None else str(version),
        "Model": model.uri,
        "Digest": model.digest,
        "Evaluation": evaluation.uri,
        "Kind of evaluation": _SOURCES.get(evaluation.source, ""),
        "Model in the evaluation": evaluation.model_name,
        "Evaluated": fields.time(evaluation, "evaluated_at"),
        "Evaluated on": evaluation.data.examples_uri,
        "Splits": ", ".join(evaluation.data.splits),
        "Span": str(evaluation.data.span) if evaluation.data.HasField("span") else "",
        "Examples": fields.count(evaluation),
        "Size": wording.size(model.size_bytes) if model.HasField("size_bytes") else "",
        "Eval config": evaluation.data.eval_config_digest,
    }
