from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.world import World, invoke, json_of
from tests.executor import plain
from tfx_best_exporter.cli.publishing import evaluation_of
from tfx_best_exporter.executor.policies import compare_policy, larger
from tfx_best_exporter.proto import best_exporter_pb2 as pb

WHY = ("--reason", "incident 7")


def metrics(world: World, **values: float) -> Path:
    path = world.root / "metrics.json"
    path.write_text(json.dumps(values))
    return path


def test_promote_a_hotfix(world: World) -> None:
    words = ("promote", world.base, world.model("e"), "--metrics", metrics(world, auc=0.5), *WHY)
    before = plain.read_files(world.base)
    assert invoke(*words, "--dry-run", now=world.now).exit_code == 0
    assert plain.read_files(world.base) == before
    result = invoke(*words, "--hold", "1h", "-y", now=world.now)
    assert result.exit_code == 0, result.stderr
    (item,) = json_of("status", world.base, now=world.now)
    assert item["served"]["metrics"][0]["value"] == 0.5
    assert item["served"]["by"] == "promoted by ana@desk: incident 7"
    assert item["hold"]["operator"] == "ana@desk"
    invoke("release", world.base, "-y")
    # The model that it replaced does not win it back by its recorded numbers.
    assert world.run("b", {"auc": 0.93}).reason == pb.ExportDecision.NOT_COMPARABLE
    assert invoke("release", world.base, "-y").exit_code == 0
    assert world.run("b", {"auc": 0.93}).exported


def test_approve_a_candidate(world: World) -> None:
    policy = compare_policy(larger("auc"), approval="REQUIRED")
    decision = world.run("d", {"auc": 0.99}, policy=policy)
    assert decision.reason == pb.ExportDecision.AWAITING_APPROVAL
    (item,) = json_of("status", world.base)
    (digest,) = item["awaiting"]
    assert f"{digest} waits for approval" in invoke("status", world.base).stdout
    digits = digest.removeprefix("sha256:")[:8]
    result = invoke("approve", world.base, digits, "--reason", "reviewed", "-y", now=world.now)
    assert result.exit_code == 0, result.stderr
    (item,) = json_of("status", world.base)
    assert item["served"]["digest"] == digest
    assert item["served"]["by"] == "approved by ana@desk: reviewed"


def test_adopt_what_pusher_wrote(world: World) -> None:
    plain.write_files(world.base / "1800000000")
    path = metrics(world, auc=0.97)
    result = invoke("adopt", world.base, "--metrics", path, "-y", now=1_800_000_100)
    assert result.exit_code == 0, result.stderr
    (item,) = json_of("status", world.base)
    assert (item["served"]["version"], item["served"]["origin"]) == ("1800000000", "ours")
    assert world.run("d", {"auc": 0.96}).reason == pb.ExportDecision.NOT_BETTER


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "--metrics must be a JSON file"),
        ("[]", "--metrics must be a JSON object (got list"),
        ('{"auc": "x"}', "auc"),
    ],
)
def test_metrics_that_cannot_be_read(world: World, content: str, problem: str) -> None:
    path = world.root / "metrics.json"
    path.write_text(content)
    result = invoke("promote", world.base, world.model("e"), "--metrics", path, *WHY, "-y")
    assert result.exit_code == 2
    assert problem in result.stderr


def test_metrics_from_standard_input(world: World) -> None:
    words = ("promote", world.base, world.model("e"), "--metrics", "-", *WHY, "-y")
    assert invoke(*words, input='{"auc": 0.5}').exit_code == 0


@pytest.mark.parametrize("words", [(), ("--metrics", "a", "--evaluation", "b")])
def test_one_evaluation_is_required(world: World, words: tuple[str, ...]) -> None:
    result = invoke("promote", world.base, world.model("e"), *words, *WHY, "-y")
    assert result.exit_code == 2
    assert "set exactly one of --evaluation DIR" in result.stderr


def test_the_evaluation_of_evaluator(evaluations: dict[str, Path]) -> None:
    assert evaluation_of(str(evaluations["paired"]), None)["binary_accuracy"] == 0.75
