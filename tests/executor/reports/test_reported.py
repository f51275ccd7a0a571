"""The decision that ModelExporter returns."""

from __future__ import annotations

import copy
import pickle

import pytest

from tfx_best_exporter.executor.reports.reported import ReportedDecision
from tfx_best_exporter.proto import best_exporter_pb2 as pb

R = pb.ExportDecision

REFUSED = R(reason=R.NOT_BETTER, explanation="auc 0.5 <\n0.6", warnings=["<beware>", "twice"])
EXPORTED = R(exported=True, reason=R.BETTER, explanation="x", version=7)
SAME = R(reason=R.ALREADY_BEST, explanation="x", version=7)


@pytest.mark.parametrize(
    ("message", "is_carried_out", "expected"),
    [
        (REFUSED, True, r"<NOT_BETTER: not exported; auc 0.5 <\n0.6>"),
        (REFUSED, False, r"<NOT_BETTER: would not be exported; auc 0.5 <\n0.6>"),
        (EXPORTED, True, "<BETTER: exported as version 7; x>"),
        (EXPORTED, False, "<BETTER: would be exported; x>"),
        (SAME, True, "<ALREADY_BEST: served already as version 7; x>"),
    ],
)
def test_repr(message: pb.ExportDecision, is_carried_out: bool, expected: str) -> None:
    assert repr(ReportedDecision(message, is_carried_out=is_carried_out)) == expected


def test_in_a_notebook() -> None:
    assert ReportedDecision(REFUSED, is_carried_out=False)._repr_html_() == (
        "<p><b>Would not be exported</b> (NOT_BETTER): auc 0.5 &lt;\n0.6</p>"
        "<ul><li>&lt;beware&gt;</li><li>twice</li></ul>"
    )
    assert ReportedDecision(EXPORTED)._repr_html_() == (
        "<p><b>Exported as version 7</b> (BETTER): x</p>"
    )


def test_attributes() -> None:
    decision = ReportedDecision(REFUSED)
    assert (decision.exported, decision.reason, decision.reason_name, decision.version) == (
        False,
        R.NOT_BETTER,
        "NOT_BETTER",
        None,
    )
    assert list(decision.warnings) == ["<beware>", "twice"]
    assert ReportedDecision(EXPORTED).version == 7
    # Every field of the message is an attribute.
    assert decision.base_directory == ""
    assert not decision.HasField("best")
    with pytest.raises(AttributeError):
        decision.no_such_field  # noqa: B018


def test_copies() -> None:
    decision = ReportedDecision(EXPORTED)
    for copied in (copy.deepcopy(decision), pickle.loads(pickle.dumps(decision))):
        assert copied == decision
