from __future__ import annotations

import pytest

from tests.executor import plain
from tests.executor.operating.desk import WHO, Desk
from tfx_best_exporter.executor.operating.operation import OperationError
from tfx_best_exporter.executor.operating.rejecting import reject, unreject
from tfx_best_exporter.executor.operating.rollback import rollback


def test_rejects_the_model_of_a_version(desk: Desk) -> None:
    change = reject(desk.exports, "8", **WHO)
    assert (change.kind, change.versions) == ("reject", (8,))
    assert change.sentences == (f"no run exports the model {desk.digest(8)}",)
    rejection = desk.state.rejected[desk.digest(8)]
    assert (rejection.version, rejection.model_uri) == (8, "/models/8")
    assert rejection.action.operator == "ann"
    assert desk.versions == [7, 8, 9]
    (logged,) = desk.exports.decision_log.read().decisions
    assert (logged.kind, logged.version) == ("reject", 8)
    assert (logged.candidate_digest, logged.candidate_uri) == (desk.digest(8), "/models/8")


def test_says_that_the_model_is_still_served(desk: Desk) -> None:
    change = reject(desk.exports, 9, **WHO)
    assert change.sentences[1] == (
        "version 9 has this model and is still served; roll back to withdraw it"
    )
    assert desk.served == 9


def test_rejects_a_model_that_was_never_exported(desk: Desk) -> None:
    digest = f"sha256:{'0123456789abcdef' * 4}"
    change = reject(desk.exports, digest, **WHO)
    assert change.versions == ()
    assert {*desk.state.rejected} == {digest}
    assert not desk.state.rejected[digest].HasField("version")


@pytest.mark.parametrize("prefix", ["sha256:", ""])
@pytest.mark.parametrize("digits", [8, 64])
def test_takes_the_digest_of_a_known_model(desk: Desk, prefix: str, digits: int) -> None:
    digest = desk.digest(8)
    reject(desk.exports, prefix + digest.removeprefix("sha256:")[:digits], **WHO)
    assert {*desk.state.rejected} == {digest}
    assert desk.state.rejected[digest].model_uri == "/models/8"


def test_rejects_the_model_of_another_tool(desk: Desk) -> None:
    desk.push("12", "pushed")
    reject(desk.exports, 12, **WHO)
    assert {*desk.state.rejected} == {desk.digest("pushed")}


def test_rejects_the_model_of_a_retired_version(desk: Desk) -> None:
    plain.retire(desk.exports, desk.exports.exports()[0])
    reject(desk.exports, 7, **WHO)
    assert {*desk.state.rejected} == {desk.digest(7)}


def test_drops_a_candidate_that_waits_for_approval(desk: Desk) -> None:
    name = desk.digest("waiting").removeprefix("sha256:")
    desk.put(f".best_exporter/awaiting/{name}/staged.json", b"{}")
    change = reject(desk.exports, name[:8], **WHO)
    assert change.sentences[1] == "it does not wait for approval any longer"
    assert not desk.state.awaiting
    assert not any("awaiting" in path for path in desk.files)


def test_allows_a_model_again(desk: Desk) -> None:
    rollback(desk.exports, **WHO)
    # The version is withdrawn, so its note has the digest.
    change = unreject(desk.exports, 9, **WHO)
    assert change.sentences == (f"runs may export the model {desk.digest(9)} again",)
    assert not desk.state.rejected
    assert desk.served == 8
    assert [kind for kind, _, _ in desk.logged()] == ["rollback", "unreject"]


def test_a_damaged_rejection_is_removed(desk: Desk) -> None:
    name = desk.digest(8).removeprefix("sha256:")
    desk.put(f".best_exporter/rejected/{name}.json", b"{")
    unreject(desk.exports, desk.digest(8), **WHO)
    assert not desk.state.rejected


def test_refuses_to_allow_what_is_not_rejected(desk: Desk) -> None:
    reject(desk.exports, 8, **WHO)
    with pytest.raises(OperationError, match=rf"^model must be rejected .*: {desk.digest(8)}\.$"):
        unreject(desk.exports, 9, **WHO)


UNKNOWN = {
    "no version": ("6", "version must be in the base directory"),
    "few digits": ("abcdef1", "model must be a version or a digest"),
    "no digits": ("latest", "model must be a version or a digest"),
    "of no model": ("01234567abc", "model must be the beginning of one digest"),
}


@pytest.mark.parametrize(("model", "text"), UNKNOWN.values(), ids=UNKNOWN)
def test_refuses(desk: Desk, model: str, text: str) -> None:
    with pytest.raises(OperationError, match=f"^{text}"):
        reject(desk.exports, model, **WHO)
    assert not desk.state.rejected


def test_dry_runs_write_nothing(desk: Desk) -> None:
    before = desk.files
    assert reject(desk.exports, 8, dry_run=True, **WHO).versions == (8,)
    assert desk.files == before
    reject(desk.exports, 8, **WHO)
    before = desk.files
    assert unreject(desk.exports, 8, dry_run=True, **WHO).versions == (8,)
    assert desk.files == before
