import dataclasses
import math
from collections.abc import Sequence, Set
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from tfx_best_exporter.executor.exports import retention, retention_rules
from tfx_best_exporter.executor.exports.retention_rules import (
    KeepAll,
    KeepBest,
    KeepEvery,
    KeepLatest,
    KeepVersions,
    KeepYoungerThan,
    RetainedExport,
    RetentionRule,
)
from tfx_best_exporter.proto import best_exporter_pb2 as pb

NAN, INF = math.nan, math.inf
DAY = 86400


def export(version: int, **fields: Any) -> RetainedExport:
    all_fields: dict[str, Any] = {"exported_at": 0.0, "is_foreign": False, **fields}
    return RetainedExport(version=version, **all_fields)


def at(*times: float | None) -> list[RetainedExport]:
    return [export(version, exported_at=time) for version, time in enumerate(times, start=1)]


def scored(*scores: float | None) -> list[RetainedExport]:
    return [export(version, score=score) for version, score in enumerate(scores, start=1)]


@pytest.mark.parametrize(
    ("rule", "exports", "kept"),
    [
        pytest.param(KeepAll(), at(0.0, None), {1, 2}, id="all"),
        pytest.param(KeepAll(), [], set(), id="all of none"),
        pytest.param(KeepLatest(count=2), at(0.0, 0.0, 0.0), {2, 3}, id="latest"),
        pytest.param(
            KeepLatest(count=2),
            [*at(0.0, 0.0), export(3, is_as_recorded=False)],
            {1, 2},
            id="latest, one incomplete",
        ),
        pytest.param(KeepYoungerThan(seconds=10), at(None, 990.0, 990.5, 2e3), {3, 4}, id="young"),
        pytest.param(
            KeepVersions(versions=frozenset((2, 9))), at(0.0, 0.0), {2}, id="named, one missing"
        ),
        pytest.param(KeepBest(count=2), scored(0.3, 0.9, 0.5, 0.8), {2, 4}, id="best"),
        pytest.param(KeepBest(count=9), scored(0.3, None, NAN), {1, 2, 3}, id="best of fewer"),
        pytest.param(KeepBest(count=1), scored(0.5, 0.5, 0.4), {2}, id="best, a tie: the newer"),
        pytest.param(KeepBest(count=1), scored(-0.0, 0.0, -1.0), {2}, id="best, zeros are equal"),
        pytest.param(KeepBest(count=1), scored(-INF, NAN, None), {1}, id="best, infinite"),
        pytest.param(KeepBest(count=2), scored(-INF, NAN, None), {1, 2}, id="best, then NaN"),
        pytest.param(KeepBest(count=2), scored(NAN, NAN, NAN), {2, 3}, id="best, NaN alone"),
        pytest.param(KeepBest(count=2), scored(None, None, None), {2, 3}, id="best, no score"),
        pytest.param(KeepBest(count=1), scored(INF, 1e300), {1}, id="best, infinitely good"),
        pytest.param(
            KeepBest(count=1),
            [export(1, score=0.1), export(2, score=0.9, is_as_recorded=False)],
            {1},
            id="best, the better one incomplete",
        ),
        pytest.param(KeepEvery(seconds=10), at(0.0, 9.9, 10.0, 15.0, 20.0), {1, 3, 5}, id="every"),
        pytest.param(KeepEvery(seconds=10), at(0.0, 35.0, 40.0, 45.0), {1, 2, 4}, id="every, gaps"),
        pytest.param(KeepEvery(seconds=10), at(50.0), {1}, id="every, the first"),
        pytest.param(KeepEvery(seconds=10), [], set(), id="every of none"),
        pytest.param(KeepEvery(seconds=10), at(20.0, 0.0, 5.0), {1, 2}, id="every, clock set back"),
        pytest.param(KeepEvery(seconds=10), at(0.0, 0.0), {1}, id="every, at one time"),
        pytest.param(KeepEvery(seconds=10), at(None, 3.0), {2}, id="every, a time unknown"),
        pytest.param(KeepEvery(seconds=10), at(-5.0, 4.0, 5.0), {1, 3}, id="every, before 1970"),
        pytest.param(
            KeepEvery(seconds=10),
            [export(1, is_as_recorded=False), *at(0.0, 4.0)[1:]],
            {2},
            id="every, the first incomplete",
        ),
    ],
)
def test_keeps(rule: RetentionRule, exports: list[RetainedExport], kept: set[int]):
    assert rule.keeps(exports, 1000.0) == kept


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        pytest.param(KeepAll(), "every export is kept", id="all"),
        pytest.param(KeepLatest(count=5), "among the 5 latest exports", id="latest"),
        pytest.param(KeepYoungerThan(seconds=100), "younger than 100 seconds", id="young"),
        pytest.param(KeepYoungerThan(seconds=7 * DAY), "younger than 7 days", id="a week"),
        pytest.param(KeepYoungerThan(seconds=36 * 3600), "younger than 36 hours", id="hours"),
        pytest.param(KeepYoungerThan(seconds=5400), "younger than 90 minutes", id="minutes"),
        pytest.param(KeepYoungerThan(seconds=60), "younger than 60 seconds", id="one minute"),
        pytest.param(KeepVersions(versions=frozenset((1,))), "named in keep_versions", id="named"),
        pytest.param(KeepBest(count=2), "among the 2 best exports", id="best"),
        pytest.param(KeepEvery(seconds=DAY), "among the exports kept every 24 hours", id="every"),
    ],
)
def test_reason(rule: RetentionRule, reason: str):
    assert rule.reason == reason


@pytest.mark.parametrize("count", range(1, 6))
def test_what_every_seconds_kept_it_keeps_again(count: int):
    exports = at(0.0, 3.0, 7.0, 11.0, 12.0, 21.0, 30.0)
    rule = KeepEvery(seconds=3 * count)
    kept = rule.keeps(exports, 0.0)
    assert rule.keeps([each for each in exports if each.version in kept], 0.0) == kept


def test_every_field_of_the_policy_but_the_cap_is_a_rule():
    fields = set(pb.RetentionPolicy.DESCRIPTOR.fields_by_name)
    assert set(retention_rules.RULES) == fields - {"max_bytes"}


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        pytest.param("{}", (), id="none"),
        pytest.param('{"max_bytes": "9"}', (), id="a cap is no rule"),
        # Pipelines of earlier releases have stored policies in this form.
        pytest.param(
            '{"keep_latest": 3, "keep_younger_than_seconds": "604800", "keep_versions": ["7"]}',
            (
                KeepLatest(count=3),
                KeepYoungerThan(seconds=604800),
                KeepVersions(versions=frozenset((7,))),
            ),
            id="stored by an earlier release",
        ),
        pytest.param(
            '{"keep_every_seconds": "60", "keep_best": 2}',
            (KeepBest(count=2), KeepEvery(seconds=60)),
            id="in the order of the table",
        ),
    ],
)
def test_rules_of(text: str, rules: tuple[RetentionRule, ...]):
    policy = json_format.Parse(text, pb.RetentionPolicy())
    assert retention_rules.rules_of(policy) == rules


# A rule that is not in the module: its field, its class and its row.


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeepMultiples:
    divisor: int

    @property
    def reason(self) -> str:
        return f"a multiple of {self.divisor}"

    def keeps(self, exports: Sequence[RetainedExport], _now: float, /) -> Set[int]:
        return {each.version for each in exports if each.version % self.divisor == 0}


def policy_with_one_more_field(**fields: Any) -> Any:
    """Returns a RetentionPolicy of a later .proto file, which also has keep_multiples_of."""
    file = descriptor_pb2.FileDescriptorProto(name="later.proto", syntax="proto3")
    pb.RetentionPolicy.DESCRIPTOR.CopyToProto(file.message_type.add())
    file.message_type[0].field.add(
        name="keep_multiples_of",
        number=99,
        type=descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
        label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("RetentionPolicy"))
    return kind(**fields)


def test_a_new_rule_is_a_class_and_a_row():
    table = {
        **retention_rules.RULES,
        "keep_multiples_of": lambda value: KeepMultiples(divisor=value),
    }
    message = policy_with_one_more_field(keep_multiples_of=3, keep_latest=2)
    plan = retention.plan(
        [export(version) for version in range(1, 8)],
        best_version=7,
        policy=retention.Policy.from_proto(message, table),
        now=0.0,
    )
    assert {item.version: item.why for item in plan.keep} == {
        3: "a multiple of 3",
        6: "among the 2 latest exports; a multiple of 3",
        7: "the best; the latest export; among the 2 latest exports",
    }
    assert {item.version: item.why for item in plan.retire} == dict.fromkeys(
        (1, 2, 4, 5), "not among the 2 latest exports, not a multiple of 3"
    )
