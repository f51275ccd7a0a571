"""A decision in a notebook."""

from tfx_best_exporter.executor.deciding.models import Decision
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def test_a_decision_in_a_notebook():
    decision = Decision(
        reason=pb.ExportDecision.NOT_BETTER,
        explanation="auc 0.5 < 0.6",
        warnings=("<beware>", "twice"),
    )
    assert decision._repr_html_() == (
        "<p><b>Would not be exported</b> (NOT_BETTER): auc 0.5 &lt; 0.6</p>"
        "<ul><li>&lt;beware&gt;</li><li>twice</li></ul>"
    )
    better = Decision(reason=pb.ExportDecision.BETTER, explanation="x")
    assert better._repr_html_() == "<p><b>Would be exported</b> (BETTER): x</p>"
