import pytest

from tests.executor.deciding.decided import DE, NL, evaluation, smaller_loss
from tfx_best_exporter.executor.deciding import decide as comparison
from tfx_best_exporter.executor.deciding.models import Best, Candidate, Observation
from tfx_best_exporter.executor.deciding.policy import policy_from_proto
from tfx_best_exporter.executor.deciding.slices import by_features
from tfx_best_exporter.executor.policies import compare_policy, larger, smaller


def test_slice_changes():
    policy = policy_from_proto(
        compare_policy(larger("auc"), tie_breakers=[smaller("loss")]), lambda _: smaller_loss
    )
    candidate = evaluation(
        {"auc": 0.9},
        {NL: {"auc": 0.8}, DE: {"auc": 0.7, "example_count": 5}, (("x", 1),): {"auc": 0.1}},
    )
    best = evaluation(
        {"auc": 0.9}, {NL: {"auc": 0.7}, DE: {"auc": 0.75}, (("x", 2),): {"auc": 0.3}}
    )
    changes = comparison.slice_changes(
        Observation(
            candidate=Candidate(digest="c", eval_result=candidate),
            best=Best(version=1, digest="b", eval_result=best),
        ),
        policy,
    )
    assert [(each.slice, round(each.improvement, 3), each.example_count) for each in changes] == [
        ((("country", "de"),), -0.05, 5),
        ((("country", "nl"),), 0.1, None),
    ]


def test_two_slices_with_one_text():
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        by_features([(("x", 1),), (("x", "1"),)])
    assert str(caught.value) == (
        "slices must differ in the texts of their features (got x=1 twice). Use one type for"
        " all values of the feature."
    )


def test_bytes_that_are_no_text_stay_distinct():
    slice_keys = [(("x", value),) for value in (b"\xff", b"\xfe", "\ufffd", "a")]
    assert by_features(slice_keys) == {
        (("x", "\\xfe"),): slice_keys[1],
        (("x", "\\xff"),): slice_keys[0],
        (("x", "a"),): slice_keys[3],
        (("x", "\ufffd"),): slice_keys[2],
    }
