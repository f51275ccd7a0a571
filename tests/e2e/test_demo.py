import pytest

from pipelines import demo
from tfx_best_exporter.proto import best_exporter_pb2 as pb

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_the_story(story: list[pb.ExportDecision]):
    assert [pb.ExportDecision.Reason.Name(decision.reason) for decision in story] == [
        "FIRST_EXPORT",
        "NOT_BETTER",
        "BETTER",
        "BETTER",
        "ALREADY_BEST",
    ]
    assert [decision.exported for decision in story] == [True, False, True, True, False]
    assert [len(decision.retired) for decision in story] == [0, 0, 0, 1, 0]
    assert story[3].retired[0].version == story[0].version


def test_a_story_that_ends_otherwise_is_an_error(story: list[pb.ExportDecision]):
    step = demo.Step(title="a test", epochs=1, reason="BETTER")
    with pytest.raises(demo.StoryError) as caught:
        demo.check_decision(step, 2, story[1])
    assert str(caught.value) == (
        f"Run 2 (a test) must have the decision BETTER (got NOT_BETTER: {story[1].explanation})."
    )
    with pytest.raises(demo.StoryError) as caught:
        demo.check_decision(step, 4, story[3])
    assert str(caught.value) == "Run 4 (a test) must retire 0 exports (got 1)."
