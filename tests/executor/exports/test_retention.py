from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_best_exporter.executor.exports import retention
from tfx_best_exporter.executor.exports.retention import Plan, RetainedExport
from tfx_best_exporter.proto import best_exporter_pb2 as pb

KEEP_ALL = "every export is kept"
DAY = 86400


def ours(*versions: int, exported_at: float | None = 0.0) -> list[RetainedExport]:
    return [
        RetainedExport(version=version, is_foreign=False, exported_at=exported_at)
        for version in versions
    ]


def foreign(*versions: int) -> list[RetainedExport]:
    return [
        RetainedExport(version=version, is_foreign=True, exported_at=None) for version in versions
    ]


def as_dicts(plan: Plan) -> tuple[dict[int, str], dict[int, str]]:
    keep = {item.version: item.why for item in plan.keep}
    retire = {item.version: item.why for item in plan.retire}
    assert list(keep) == sorted(keep)
    assert list(retire) == sorted(retire)
    return keep, retire


def policy_with(field: str, value: int) -> pb.RetentionPolicy:
    policy = pb.RetentionPolicy()
    setattr(policy, field, value)
    return policy


def latest(count: int) -> pb.RetentionPolicy:
    return pb.RetentionPolicy(keep_latest=count)


def incomplete(*versions: int) -> list[RetainedExport]:
    return [
        RetainedExport(version=version, is_foreign=False, exported_at=0.0, is_complete=False)
        for version in versions
    ]


@pytest.mark.parametrize(
    ("exports", "best", "policy", "keep", "retire"),
    [
        pytest.param([], None, latest(1), {}, {}, id="nothing there"),
        pytest.param(
            [*ours(1, 2, 4), *incomplete(3)],
            4,
            latest(2),
            {2: "among the 2 latest exports", 4: "the best"},
            {1: "not among the 2 latest exports", 3: "not among the 2 latest exports"},
            id="an incomplete one is no way back",
        ),
        pytest.param(
            [*ours(1, 2), *incomplete(3, 4)],
            2,
            latest(1),
            {
                2: "the best",
                3: "not complete, and newer than the best: repair or remove it",
                4: "not complete, and newer than the best: repair or remove it",
            },
            {1: "not among the 1 latest exports"},
            id="an incomplete one that a model server may be loading",
        ),
        pytest.param(
            ours(1, 2, 3), 3, None, {1: KEEP_ALL, 2: KEEP_ALL, 3: "the best"}, {}, id="no policy"
        ),
        pytest.param(
            ours(1, 2, 3),
            3,
            latest(2),
            {2: "among the 2 latest exports", 3: "the best"},
            {1: "not among the 2 latest exports"},
            id="one too many",
        ),
        pytest.param(
            ours(1, 2, 3),
            3,
            latest(3),
            {
                1: "among the 3 latest exports",
                2: "among the 3 latest exports",
                3: "the best",
            },
            {},
            id="as many as may be",
        ),
        pytest.param(
            ours(1, 2),
            2,
            latest(9),
            {1: "among the 9 latest exports", 2: "the best"},
            {},
            id="fewer",
        ),
        pytest.param(
            ours(1, 2, 3),
            3,
            latest(1),
            {3: "the best"},
            {1: "not among the 1 latest exports", 2: "not among the 1 latest exports"},
            id="only the best",
        ),
        pytest.param(
            ours(30, 4, 200, 5),
            200,
            latest(2),
            {30: "among the 2 latest exports", 200: "the best"},
            {4: "not among the 2 latest exports", 5: "not among the 2 latest exports"},
            id="out of order, as numbers",
        ),
        pytest.param(
            ours(1, 2, 3, 4),
            2,
            latest(1),
            {2: "the best", 4: "the last one"},
            {1: "not among the 1 latest exports", 3: "not among the 1 latest exports"},
            id="the best is not the newest",
        ),
        pytest.param(
            ours(1, 2) + foreign(3, 4),
            4,
            latest(1),
            {2: "the last one", 3: "not written by this exporter", 4: "the best"},
            {1: "not among the 1 latest exports"},
            id="foreign ones do not count",
        ),
        pytest.param(
            foreign(1, 2),
            2,
            latest(1),
            {1: "not written by this exporter", 2: "the best"},
            {},
            id="foreign ones alone",
        ),
        pytest.param(
            ours(1, 2),
            None,
            latest(1),
            {2: "the last one"},
            {1: "not among the 1 latest exports"},
            id="no best",
        ),
        pytest.param(
            ours(1, 2, 3, 4),
            4,
            pb.RetentionPolicy(keep_versions=[1, 3, 99]),
            {1: "named in keep_versions", 3: "named in keep_versions", 4: "the best"},
            {2: "not named in keep_versions"},
            id="pinned",
        ),
        pytest.param(
            ours(1, exported_at=0.0)
            + ours(2, exported_at=900.0)
            + ours(3, exported_at=900.5)
            + ours(4, exported_at=2000.0),
            4,
            pb.RetentionPolicy(keep_younger_than_seconds=100),
            {3: "younger than 100 seconds", 4: "the best"},
            {1: "not younger than 100 seconds", 2: "not younger than 100 seconds"},
            id="age: just as old is not younger",
        ),
        pytest.param(
            ours(1, exported_at=5000.0) + ours(2),
            2,
            pb.RetentionPolicy(keep_younger_than_seconds=100),
            {1: "younger than 100 seconds", 2: "the best"},
            {},
            id="age: from the future",
        ),
        pytest.param(
            ours(1, exported_at=None) + ours(2),
            2,
            pb.RetentionPolicy(keep_younger_than_seconds=100),
            {2: "the best"},
            {1: "not younger than 100 seconds"},
            id="age: unknown",
        ),
        pytest.param(
            ours(1, 2) + ours(3, exported_at=950.0) + ours(4, 5),
            5,
            pb.RetentionPolicy(keep_latest=2, keep_younger_than_seconds=100, keep_versions=[2]),
            {
                2: "named in keep_versions",
                3: "younger than 100 seconds",
                4: "among the 2 latest exports",
                5: "the best",
            },
            {
                1: "not among the 2 latest exports, not younger than 100 seconds,"
                " not named in keep_versions"
            },
            id="any rule keeps",
        ),
    ],
)
def test_plan(
    exports: list[RetainedExport],
    best: int | None,
    policy: pb.RetentionPolicy | None,
    keep: dict[int, str],
    retire: dict[int, str],
):
    plan = retention.plan(exports, best_version=best, policy=policy, now=1000.0)
    assert as_dicts(plan) == (keep, retire)


def test_keep_lowered_between_runs():
    exports = ours(1, 2, 3, 4, 5)
    before = retention.plan(exports, best_version=5, policy=latest(5), now=0)
    assert before.retire == ()
    after = retention.plan(exports, best_version=5, policy=latest(2), now=0)
    assert [item.version for item in after.retire] == [1, 2, 3]


policies = st.none() | st.builds(
    pb.RetentionPolicy,
    keep_latest=st.none() | st.integers(1, 6),
    keep_younger_than_seconds=st.none() | st.integers(1, 2000),
    keep_versions=st.lists(st.integers(0, 20), max_size=3),
)
exports_of_all_kinds = st.lists(
    st.builds(
        RetainedExport,
        version=st.integers(0, 20),
        is_foreign=st.booleans(),
        exported_at=st.none() | st.floats(0, 2000),
    ),
    unique_by=lambda export: export.version,
)


@given(data=st.data(), exports=exports_of_all_kinds, policy=policies)
def test_best_last_and_foreign_are_never_retired(
    data: st.DataObject, exports: list[RetainedExport], policy: pb.RetentionPolicy | None
):
    versions = [export.version for export in exports]
    best = data.draw(st.none() | st.sampled_from(versions)) if versions else None
    plan = retention.plan(exports, best_version=best, policy=policy, now=1000.0)
    keep, retire = as_dicts(plan)
    assert sorted([*keep, *retire]) == sorted(versions)
    assert best not in retire
    assert not {export.version for export in exports if export.is_foreign} & set(retire)
    own = sorted(export.version for export in exports if not export.is_foreign)
    assert not set(own[-1:]) & set(retire)
    if policy is not None and policy.HasField("keep_latest"):
        assert not set(own[-policy.keep_latest :]) & set(retire)
    assert not set(policy.keep_versions if policy else versions) & set(retire)


@given(exports=exports_of_all_kinds, policy=policies)
def test_a_second_plan_retires_nothing_more(
    exports: list[RetainedExport], policy: pb.RetentionPolicy | None
):
    best = max((export.version for export in exports), default=None)
    first = retention.plan(exports, best_version=best, policy=policy, now=1000.0)
    kept = {item.version for item in first.keep}
    left = [export for export in exports if export.version in kept]
    assert retention.plan(left, best_version=best, policy=policy, now=1000.0).retire == ()


@pytest.mark.parametrize(
    ("exports_to_keep", "error"),
    [
        pytest.param(0, ValueError, id="0"),
        pytest.param(-1, ValueError, id="-1"),
        pytest.param(True, TypeError, id="True"),
        pytest.param(False, TypeError, id="False"),
        pytest.param(2.0, TypeError, id="2.0"),
        pytest.param("5", TypeError, id="'5'"),
    ],
)
def test_exports_to_keep_is_refused(exports_to_keep: Any, error: type[Exception]):
    with pytest.raises(error) as caught:
        retention.policy_of(exports_to_keep, None)
    assert str(caught.value) == (
        f"exports_to_keep must be a positive number or None (got {exports_to_keep!r})."
        " Use None to keep every export."
    )


@pytest.mark.parametrize(
    ("exports_to_keep", "retention_policy", "expected"),
    [
        pytest.param(None, None, None, id="keep all"),
        pytest.param(1, None, latest(1), id="a number"),
        pytest.param(5, latest(2), latest(2), id="the policy replaces the default"),
        pytest.param(None, latest(2), latest(2), id="the policy alone"),
    ],
)
def test_policy_of(
    exports_to_keep: int | None,
    retention_policy: pb.RetentionPolicy | None,
    expected: pb.RetentionPolicy | None,
):
    assert retention.policy_of(exports_to_keep, retention_policy) == expected


@pytest.mark.parametrize(
    ("exports_to_keep", "retention_policy", "message"),
    [
        pytest.param(
            3,
            latest(2),
            "exports_to_keep must be left out where retention_policy is given (got 3)."
            " Set retention_policy.keep_latest instead.",
            id="both",
        ),
        pytest.param(
            5,
            pb.RetentionPolicy(),
            "retention_policy must have a rule (got none). Set keep_latest,"
            " keep_younger_than_seconds or keep_versions, or pass exports_to_keep=None to keep"
            " every export.",
            id="empty",
        ),
        *(
            pytest.param(
                5,
                policy_with(field, value),
                f"retention_policy.{field} must be a positive number (got {value})."
                " Leave it unset for no such rule.",
                id=f"{field} {value}",
            )
            for field in ("keep_latest", "keep_younger_than_seconds")
            for value in (0, -1)
        ),
    ],
)
def test_policy_of_refuses(
    exports_to_keep: int | None, retention_policy: pb.RetentionPolicy, message: str
):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        retention.policy_of(exports_to_keep, retention_policy)
    assert str(caught.value) == message


def test_needs_time():
    assert retention.needs_time(pb.RetentionPolicy(keep_younger_than_seconds=DAY))
    assert not retention.needs_time(latest(1))
    assert not retention.needs_time(None)
