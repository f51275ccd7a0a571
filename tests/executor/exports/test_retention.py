import copy
import inspect
import pickle
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tfx_best_exporter.executor.exports import retention
from tfx_best_exporter.executor.exports.retention import Plan
from tfx_best_exporter.executor.exports.retention_rules import RetainedExport
from tfx_best_exporter.proto import best_exporter_pb2 as pb

KEEP_ALL = "every export is kept"
BEST = "the best"
LAST = "the latest export"
FOREIGN = "not written by this exporter"
NEWER = "newer than the best"
CHANGED = "different from its record (repair or remove it)"
LINKED = "a link leads to it"
KIB = 1024


def ours(*versions: int, exported_at: float | None = 0.0, **fields: Any) -> list[RetainedExport]:
    return [
        RetainedExport(version=version, is_foreign=False, exported_at=exported_at, **fields)
        for version in versions
    ]


def foreign(*versions: int) -> list[RetainedExport]:
    return [
        RetainedExport(version=version, is_foreign=True, exported_at=None) for version in versions
    ]


def incomplete(*versions: int) -> list[RetainedExport]:
    return ours(*versions, is_as_recorded=False)


def joined(*reasons: str) -> str:
    return "; ".join(reasons)


def planned(
    exports: list[RetainedExport],
    policy: pb.RetentionPolicy | None,
    *,
    best: int | None,
    now: float = 1000.0,
) -> Plan:
    return retention.plan(
        exports,
        best_version=best,
        policy=None if policy is None else retention.Policy.from_proto(policy),
        now=now,
    )


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


DEFAULT = retention.DEFAULT_EXPORTS_TO_KEEP
LATEST = {count: f"among the {count} latest exports" for count in (1, 2, 3, 5, 9)}


@pytest.mark.parametrize(
    ("exports", "best", "policy", "keep", "retire"),
    [
        pytest.param([], None, latest(1), {}, {}, id="nothing there"),
        pytest.param(
            [*ours(1, 2, 4), *incomplete(3)],
            4,
            latest(2),
            {2: LATEST[2], 3: CHANGED, 4: joined(BEST, LAST, LATEST[2])},
            {1: "not among the 2 latest exports"},
            id="a changed one is no way back, and is never deleted",
        ),
        pytest.param(
            [*ours(1, 2), *incomplete(3, 4)],
            2,
            latest(1),
            {
                2: joined(BEST, LATEST[1]),
                3: joined(NEWER, CHANGED),
                4: joined(NEWER, CHANGED, LAST),
            },
            {1: "not among the 1 latest exports"},
            id="an incomplete one that a model server may be loading",
        ),
        pytest.param(
            ours(1, 2, 3),
            3,
            None,
            {1: KEEP_ALL, 2: KEEP_ALL, 3: joined(BEST, LAST, KEEP_ALL)},
            {},
            id="no policy",
        ),
        pytest.param(
            ours(1, 2, 3),
            3,
            latest(2),
            {2: LATEST[2], 3: joined(BEST, LAST, LATEST[2])},
            {1: "not among the 2 latest exports"},
            id="one too many",
        ),
        pytest.param(
            ours(1, 2, 3),
            3,
            latest(3),
            {1: LATEST[3], 2: LATEST[3], 3: joined(BEST, LAST, LATEST[3])},
            {},
            id="as many as may be",
        ),
        pytest.param(
            ours(1, 2),
            2,
            latest(9),
            {1: LATEST[9], 2: joined(BEST, LAST, LATEST[9])},
            {},
            id="fewer",
        ),
        pytest.param(
            ours(1, 2, 3),
            3,
            latest(1),
            {3: joined(BEST, LAST, LATEST[1])},
            {1: "not among the 1 latest exports", 2: "not among the 1 latest exports"},
            id="only the best",
        ),
        pytest.param(
            ours(30, 4, 200, 5),
            200,
            latest(2),
            {30: LATEST[2], 200: joined(BEST, LAST, LATEST[2])},
            {4: "not among the 2 latest exports", 5: "not among the 2 latest exports"},
            id="out of order, as numbers",
        ),
        pytest.param(
            ours(1, 2, 3, 4),
            2,
            latest(1),
            {2: BEST, 3: NEWER, 4: joined(NEWER, LAST, LATEST[1])},
            {1: "not among the 1 latest exports"},
            id="the best is not the newest",
        ),
        pytest.param(
            ours(1, 2) + foreign(3, 4),
            4,
            latest(1),
            {2: joined(LAST, LATEST[1]), 3: FOREIGN, 4: joined(BEST, FOREIGN)},
            {1: "not among the 1 latest exports"},
            id="foreign ones do not count",
        ),
        pytest.param(
            foreign(1, 2),
            2,
            latest(1),
            {1: FOREIGN, 2: joined(BEST, FOREIGN)},
            {},
            id="foreign ones alone",
        ),
        pytest.param(
            ours(1, 2),
            None,
            latest(1),
            {1: NEWER, 2: joined(NEWER, LAST, LATEST[1])},
            {},
            id="no best",
        ),
        pytest.param(
            ours(1, is_linked=True) + ours(2, 3),
            3,
            latest(1),
            {1: LINKED, 3: joined(BEST, LAST, LATEST[1])},
            {2: "not among the 1 latest exports"},
            id="a link leads to it",
        ),
        pytest.param(
            ours(1, is_restored=True) + ours(2, 3),
            3,
            latest(1),
            {1: "restored by a person", 3: joined(BEST, LAST, LATEST[1])},
            {2: "not among the 1 latest exports"},
            id="restored by a person",
        ),
        pytest.param(
            ours(1, 2, 3, 4),
            4,
            pb.RetentionPolicy(keep_versions=[1, 3, 99]),
            {1: "named in keep_versions", 3: "named in keep_versions", 4: joined(BEST, LAST)},
            {2: "not named in keep_versions"},
            id="named",
        ),
        pytest.param(
            incomplete(1, 2, 3) + ours(4),
            4,
            pb.RetentionPolicy(keep_versions=[1]),
            {
                1: joined(CHANGED, "named in keep_versions"),
                2: CHANGED,
                3: CHANGED,
                4: joined(BEST, LAST),
            },
            {},
            id="named, and incomplete",
        ),
        pytest.param(
            ours(1) + ours(2, is_pinned=True) + ours(3) + ours(4, is_pinned=True),
            4,
            latest(1),
            {2: "pinned", 4: joined(BEST, LAST, "pinned", LATEST[1])},
            {1: "not among the 1 latest exports", 3: "not among the 1 latest exports"},
            id="pinned",
        ),
        pytest.param(
            ours(1, exported_at=0.0)
            + ours(2, exported_at=900.0)
            + ours(3, exported_at=900.5)
            + ours(4, exported_at=2000.0),
            4,
            pb.RetentionPolicy(keep_younger_than_seconds=100),
            {
                3: "younger than 100 seconds",
                4: joined(BEST, LAST, "younger than 100 seconds"),
            },
            {1: "not younger than 100 seconds", 2: "not younger than 100 seconds"},
            id="age: just as old is not younger",
        ),
        pytest.param(
            ours(1, exported_at=5000.0) + ours(2),
            2,
            pb.RetentionPolicy(keep_younger_than_seconds=100),
            {1: "younger than 100 seconds", 2: joined(BEST, LAST)},
            {},
            id="age: from the future",
        ),
        pytest.param(
            ours(1, exported_at=None) + ours(2),
            2,
            pb.RetentionPolicy(keep_younger_than_seconds=100),
            {2: joined(BEST, LAST)},
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
                4: LATEST[2],
                5: joined(BEST, LAST, LATEST[2]),
            },
            {
                1: "not among the 2 latest exports, not younger than 100 seconds,"
                " not named in keep_versions"
            },
            id="any rule keeps",
        ),
        pytest.param(
            ours(1, exported_at=950.0, is_pinned=True, score=0.9),
            1,
            pb.RetentionPolicy(
                max_bytes=1,
                keep_every_seconds=60,
                keep_best=1,
                keep_versions=[1],
                keep_younger_than_seconds=100,
                keep_latest=1,
            ),
            {
                1: joined(
                    BEST,
                    LAST,
                    "pinned",
                    LATEST[1],
                    "younger than 100 seconds",
                    "named in keep_versions",
                    "among the 1 best exports",
                    "among the exports kept every 60 seconds",
                )
            },
            {},
            id="every reason, in order",
        ),
        pytest.param(
            ours(1, 2, 3),
            3,
            pb.RetentionPolicy(keep_best=1, keep_every_seconds=60),
            {
                1: "among the exports kept every 60 seconds",
                3: joined(BEST, LAST, "among the 1 best exports"),
            },
            {2: "not among the 1 best exports, not among the exports kept every 60 seconds"},
            id="best and every",
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
    plan = planned(exports, policy, best=best)
    assert as_dicts(plan) == (keep, retire)
    assert plan.warnings == ()


UP_TO_CAP = "every export is kept, up to max_bytes"
OVER = (
    "over max_bytes: the total size of the exports is {}, more than {}; the oldest are retired"
    " first"
)


@pytest.mark.parametrize(
    ("exports", "best", "policy", "keep", "retire", "over"),
    [
        pytest.param(
            ours(1, 2, 3, size_bytes=10),
            3,
            pb.RetentionPolicy(max_bytes=30),
            {1: UP_TO_CAP, 2: UP_TO_CAP, 3: joined(BEST, LAST, UP_TO_CAP)},
            [],
            None,
            id="exactly as many",
        ),
        pytest.param(
            ours(1, 2, 3, 4, size_bytes=10),
            4,
            pb.RetentionPolicy(max_bytes=29),
            {3: UP_TO_CAP, 4: joined(BEST, LAST, UP_TO_CAP)},
            [1, 2],
            ("40 bytes", "29 bytes"),
            id="the oldest go, and no more than needed",
        ),
        pytest.param(
            ours(1, size_bytes=1) + ours(2, size_bytes=30) + ours(3, 4, size_bytes=10),
            4,
            pb.RetentionPolicy(max_bytes=20),
            {3: UP_TO_CAP, 4: joined(BEST, LAST, UP_TO_CAP)},
            [1, 2],
            ("51 bytes", "20 bytes"),
            id="in order of age, not of size",
        ),
        pytest.param(
            ours(1, size_bytes=10)
            + ours(2, size_bytes=10, is_pinned=True)
            + ours(3, 4, size_bytes=10)
            + foreign(5),
            3,
            pb.RetentionPolicy(max_bytes=30),
            {
                2: joined("pinned", UP_TO_CAP),
                3: joined(BEST, UP_TO_CAP),
                4: joined(NEWER, LAST, UP_TO_CAP),
                5: FOREIGN,
            },
            [1],
            ("40 bytes", "30 bytes"),
            id="never the best, the last, a pinned or a foreign one",
        ),
        pytest.param(
            ours(1, 2, 3, 4, size_bytes=10),
            4,
            pb.RetentionPolicy(max_bytes=20, keep_versions=[1], keep_latest=3),
            {3: LATEST[3], 4: joined(BEST, LAST, LATEST[3])},
            [1, 2],
            ("40 bytes", "20 bytes"),
            id="applied after the rules, to what they keep",
        ),
        pytest.param(
            ours(1, 2, size_bytes=10) + ours(3, size_bytes=10, is_as_recorded=False),
            2,
            pb.RetentionPolicy(max_bytes=20),
            {2: joined(BEST, UP_TO_CAP), 3: joined(NEWER, CHANGED, LAST, UP_TO_CAP)},
            [1],
            ("30 bytes", "20 bytes"),
            id="never one that is being repaired",
        ),
        pytest.param(
            ours(1, size_bytes=int(12.7 * KIB**3)) + ours(2, size_bytes=48 * KIB**3 + 512 * KIB**2),
            2,
            pb.RetentionPolicy(max_bytes=50 * KIB**3),
            {2: joined(BEST, LAST, UP_TO_CAP)},
            [1],
            ("61.2 GiB", "50 GiB"),
            id="in units",
        ),
        pytest.param(
            ours(1, size_bytes=1) + ours(2, size_bytes=50 * KIB**3),
            2,
            pb.RetentionPolicy(max_bytes=50 * KIB**3),
            {2: joined(BEST, LAST, UP_TO_CAP)},
            [1],
            ("50.000000001 GiB", "50 GiB"),
            id="digits that tell the sizes apart",
        ),
        pytest.param(
            ours(1, size_bytes=1) + ours(2, size_bytes=2**60),
            2,
            pb.RetentionPolicy(max_bytes=2**60),
            {2: joined(BEST, LAST, UP_TO_CAP)},
            [1],
            ("1152921504606846977 bytes", "1152921504606846976 bytes"),
            id="sizes that no digits tell apart",
        ),
        pytest.param(
            ours(1, size_bytes=3 * KIB) + ours(2, size_bytes=1023),
            2,
            pb.RetentionPolicy(max_bytes=1024),
            {2: joined(BEST, LAST, UP_TO_CAP)},
            [1],
            ("3.999 KiB", "1 KiB"),
            id="small units",
        ),
    ],
)
def test_max_bytes(
    exports: list[RetainedExport],
    best: int,
    policy: pb.RetentionPolicy,
    keep: dict[int, str],
    retire: list[int],
    over: tuple[str, str] | None,
):
    plan = planned(exports, policy, best=best)
    why = OVER.format(*over) if over else ""
    assert as_dicts(plan) == (keep, dict.fromkeys(retire, why))
    assert plan.warnings == ()


@pytest.mark.parametrize(
    ("max_bytes", "more"),
    [
        pytest.param(20, {}, id="the cap is met"),
        pytest.param(19, {2: OVER.format("20 bytes", "19 bytes")}, id="the cap takes one more"),
    ],
)
def test_what_no_rule_keeps_does_not_count(max_bytes: int, more: dict[int, str]):
    exports = ours(1, size_bytes=100) + ours(2, 3, size_bytes=10)
    policy = pb.RetentionPolicy(keep_latest=2, max_bytes=max_bytes)
    _, retire = as_dicts(planned(exports, policy, best=3))
    assert retire == {1: "not among the 2 latest exports", **more}


def test_a_cap_that_cannot_be_met_warns():
    exports = ours(0, 1, 3, size_bytes=10)
    plan = planned(exports, pb.RetentionPolicy(max_bytes=15), best=1)
    assert [item.version for item in plan.keep] == [1, 3]
    (warning,) = plan.warnings
    assert warning == (
        "retention_policy.max_bytes is exceeded: the total size of the exports that are always kept"
        " is 20 bytes, more than 15 bytes. Raise max_bytes."
    )


def test_keep_lowered_between_runs():
    exports = ours(1, 2, 3, 4, 5)
    before = planned(exports, latest(5), best=5)
    assert before.retire == ()
    after = planned(exports, latest(2), best=5)
    assert [item.version for item in after.retire] == [1, 2, 3]


policies = st.none() | st.builds(
    pb.RetentionPolicy,
    keep_latest=st.none() | st.integers(1, 6),
    keep_younger_than_seconds=st.none() | st.integers(1, 2000),
    keep_versions=st.lists(st.integers(0, 20), max_size=3),
    keep_best=st.none() | st.integers(1, 6),
    keep_every_seconds=st.none() | st.integers(1, 500),
    max_bytes=st.none() | st.integers(1, 50),
)
exports_of_all_kinds = st.lists(
    st.builds(
        RetainedExport,
        version=st.integers(0, 20),
        is_foreign=st.booleans(),
        exported_at=st.none() | st.floats(0, 2000),
        is_as_recorded=st.booleans(),
        is_linked=st.booleans(),
        is_pinned=st.booleans(),
        score=st.none() | st.floats(),
        size_bytes=st.integers(0, 20),
    ),
    unique_by=lambda export: export.version,
)


@given(data=st.data(), exports=exports_of_all_kinds, policy=policies)
def test_best_last_and_foreign_are_never_retired(
    data: st.DataObject, exports: list[RetainedExport], policy: pb.RetentionPolicy | None
):
    versions = [export.version for export in exports]
    best = data.draw(st.none() | st.sampled_from(versions)) if versions else None
    plan = planned(exports, policy, best=best)
    keep, retire = as_dicts(plan)
    assert sorted([*keep, *retire]) == sorted(versions)
    assert best not in retire
    is_safe = {
        each.version
        for each in exports
        if each.is_foreign or each.is_pinned or each.is_linked or not each.is_as_recorded
    }
    is_safe |= {version for version in versions if best is None or version > best}
    assert not is_safe & set(retire)
    own = sorted(export.version for export in exports if not export.is_foreign)
    assert not set(own[-1:]) & set(retire)
    if policy is None:
        assert not retire
    elif policy.HasField("max_bytes"):
        kept_bytes = sum(
            each.size_bytes for each in exports if each.version in keep and not each.is_foreign
        )
        assert bool(plan.warnings) == (kept_bytes > policy.max_bytes)
        # If the cap is exceeded, only exports that are always kept are left.
        if plan.warnings:
            assert set(keep) <= {best, *own[-1:], *is_safe}
    else:
        assert not set(policy.keep_versions) & set(retire)
        if policy.HasField("keep_latest"):
            whole = sorted(
                each.version for each in exports if not each.is_foreign and each.is_as_recorded
            )
            assert not set(whole[-policy.keep_latest :]) & set(retire)


@given(exports=exports_of_all_kinds, policy=policies)
def test_a_second_plan_retires_nothing_more(
    exports: list[RetainedExport], policy: pb.RetentionPolicy | None
):
    # With both fields, the cap retires the export at which the intervals start.
    assume(policy is None or not (policy.max_bytes and policy.keep_every_seconds))
    best = max((export.version for export in exports), default=None)
    first = planned(exports, policy, best=best)
    kept = {item.version for item in first.keep}
    left = [export for export in exports if export.version in kept]
    assert planned(left, policy, best=best).retire == ()


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
        pytest.param(5, None, latest(5), id="five"),
        pytest.param(DEFAULT, None, latest(5), id="the default"),
        pytest.param(DEFAULT, latest(2), latest(2), id="the policy replaces the default"),
        pytest.param(
            DEFAULT,
            pb.RetentionPolicy(max_bytes=2**40),
            pb.RetentionPolicy(max_bytes=2**40),
            id="max_bytes alone",
        ),
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
        *(
            pytest.param(
                value,
                latest(2),
                f"exports_to_keep must be left out if retention_policy is set (got {value})."
                " Set retention_policy.keep_latest instead.",
                id=f"both, {value}",
            )
            for value in (3, 5, None)
        ),
        pytest.param(
            DEFAULT,
            pb.RetentionPolicy(),
            "retention_policy must have a rule (got none). Set keep_latest,"
            " keep_younger_than_seconds, keep_versions, keep_best, keep_every_seconds or max_bytes,"
            " or pass exports_to_keep=None to keep every export.",
            id="empty",
        ),
        *(
            pytest.param(
                DEFAULT,
                pb.RetentionPolicy(keep_latest=1, keep_versions=[7, value]),
                f"retention_policy.keep_versions[1] must be a positive number (got {value})."
                " Use the number of a version directory.",
                id=f"keep_versions {value}",
            )
            for value in (0, -1)
        ),
        *(
            pytest.param(
                DEFAULT,
                policy_with(field, value),
                f"retention_policy.{field} must be a positive number (got {value})."
                " Leave it unset to disable the rule.",
                id=f"{field} {value}",
            )
            for field in (
                "keep_latest",
                "keep_younger_than_seconds",
                "keep_best",
                "keep_every_seconds",
                "max_bytes",
            )
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


def test_the_default_is_shown_as_five_and_known_from_another_five():
    def function(exports_to_keep: int | None = DEFAULT):
        return exports_to_keep

    assert str(inspect.signature(function)) == "(exports_to_keep: int | None = 5)"
    assert (repr(DEFAULT), str(DEFAULT), f"{DEFAULT}") == ("5", "5", "5")
    assert DEFAULT == 5
    assert function() is DEFAULT
    for copied in (copy.copy(DEFAULT), copy.deepcopy(DEFAULT), pickle.loads(pickle.dumps(DEFAULT))):
        assert retention.policy_of(copied, latest(2)) == latest(2)


FUNCTION = pb.ComparePolicy(compare_fn="a.b")
METRIC = pb.ComparePolicy(
    metric=pb.MetricRule(metric=pb.MetricKey(name="auc"), direction=pb.HIGHER_IS_BETTER)
)
BY_SCORE = pb.RetentionPolicy(keep_best=2, keep_latest=1)


@pytest.mark.parametrize(
    ("retention_policy", "compare_policy"),
    [
        pytest.param(BY_SCORE, METRIC, id="a metric"),
        pytest.param(BY_SCORE, None, id="not known yet"),
        pytest.param(latest(1), FUNCTION, id="no keep_best"),
        pytest.param(None, FUNCTION, id="no policy"),
    ],
)
def test_keep_best_has_a_metric(
    retention_policy: pb.RetentionPolicy | None, compare_policy: pb.ComparePolicy | None
):
    retention.check_keep_best(retention_policy, compare_policy)


def test_keep_best_without_a_metric():
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        retention.check_keep_best(BY_SCORE, FUNCTION)
    assert str(caught.value) == (
        "retention_policy.keep_best needs a metric rule to rank exports by (got the compare"
        " function 'a.b'). Set compare_policy.metric, or leave keep_best unset."
    )
