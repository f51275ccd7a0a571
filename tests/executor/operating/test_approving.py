from __future__ import annotations

from typing import Any

import pytest

from tests.executor import plain
from tests.executor.operating.desk import NOW, WHO, Desk, who
from tfx_best_exporter.executor import policies
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports.awaiting import EXPIRY_SECONDS
from tfx_best_exporter.executor.operating.approving import approve
from tfx_best_exporter.executor.operating.operation import OperationError
from tfx_best_exporter.executor.operating.rejecting import reject
from tfx_best_exporter.proto import best_exporter_pb2 as pb

R = pb.ExportDecision
MESSAGE = policies.compare_policy(policies.smaller("loss"))
MESSAGE.approval = pb.ComparePolicy.REQUIRED


def exporter(desk: Desk, policy: pb.ComparePolicy = MESSAGE) -> ModelExporter:
    return ModelExporter(
        desk.exports.base, clock=lambda: NOW, exports_to_keep=None, compare_policy=policy
    )


@pytest.fixture
def staged(desk: Desk) -> Desk:
    """A base directory with a candidate that waits for approval, better than version 1.8e9."""
    free = policies.compare_policy(policies.smaller("loss"))
    free.on_unknown_best = pb.ComparePolicy.EXPORT
    desk.clear()
    exporter(desk, free).run(desk.model("A"), {"loss": 0.5})
    decision = exporter(desk).run(desk.model("B"), {"loss": 0.4})
    assert decision.reason == R.AWAITING_APPROVAL
    assert desk.served == int(NOW)
    return desk


@pytest.mark.parametrize("digits", [15, 71])
def test_publishes_the_staged_bytes(staged: Desk, digits: int) -> None:
    digest = staged.digest("B")
    planned = approve(staged.exports, digest[:digits], dry_run=True, **WHO)
    # The model may be gone by now.
    for path in staged.model("B").rglob("*"):
        if path.is_file():
            path.write_bytes(b"changed")
    change = approve(staged.exports, digest[:digits], **WHO)
    assert change == planned
    version = int(NOW) + 1
    assert change.versions == (version,)
    assert staged.served == version
    export = staged.exports.served().export
    assert export is not None
    assert staged.exports.verify(export) == []
    record = staged.exports.record(export)
    assert (record.version, record.model.digest) == (version, digest)
    assert (record.approval.operator, record.approval.reason) == ("ann", "bad at night")
    assert (record.decision.reason, record.decision.version) == (R.BETTER, version)
    words = (export.location / "assets/words.txt").read(100)
    assert words == b"B"
    assert not staged.state.awaiting
    assert not any("awaiting/" in path for path in staged.files)
    logged = staged.exports.decision_log.read().decisions[-1]
    assert (logged.kind, logged.exported, logged.version) == ("approve", True, version)
    assert (logged.operator, logged.candidate_digest) == ("ann", digest)


def test_a_damaged_record_of_the_best_does_not_stop_an_approval(staged: Desk) -> None:
    staged.put(f"{int(NOW)}/assets.extra/best_exporter/record.json", b"{")
    approve(staged.exports, staged.digest("B"), **WHO)
    assert staged.served == int(NOW) + 1


def refused(desk: Desk, text: str, digest: str | None = None, **arguments: Any) -> None:
    before = desk.files
    with pytest.raises(OperationError, match=f"^{text}"):
        approve(desk.exports, digest or desk.digest("B"), **who(**arguments))
    assert desk.files == before


def test_refuses_if_another_version_is_served(staged: Desk) -> None:
    staged.publish(2_000_000_000)
    refused(staged, "served version must be the one that the model was compared with")


def test_refuses_if_nothing_is_served(staged: Desk) -> None:
    (staged.exports.base / str(int(NOW))).remove()
    refused(staged, r"served version must be the one .* \(got none, not version 1800000000\)")


def test_refuses_if_the_served_version_was_edited(staged: Desk) -> None:
    staged.put(f"{int(NOW)}/assets/words.txt", b"edited")
    refused(staged, "served version must have the content that the model was compared with")


def test_refuses_while_a_version_is_copied(staged: Desk) -> None:
    staged.put("2000000000/variables/variables.index")
    refused(staged, "base directory must not be changing")


def test_refuses_a_rejected_model(staged: Desk) -> None:
    name = staged.digest("B").removeprefix("sha256:")
    staged.put(f".best_exporter/rejected/{name}.json", b"{}")
    refused(staged, "model must not be rejected")


def test_refuses_an_expired_candidate(staged: Desk) -> None:
    refused(staged, "approval must come before ", now=NOW + EXPIRY_SECONDS + 1)


def test_refuses_what_does_not_wait(staged: Desk) -> None:
    refused(staged, r"model must wait for approval .* These wait: sha256:", staged.digest("A"))
    reject(staged.exports, staged.digest("B"), **WHO)
    refused(staged, "model must wait for approval .* These wait: none")


def test_refuses_changed_bytes(staged: Desk) -> None:
    (path,) = (path for path in staged.files if path.endswith("files/assets/words.txt"))
    staged.put(path, b"C")
    with pytest.raises(ValueError, match="Nothing was published"):
        approve(staged.exports, staged.digest("B"), **WHO)
    assert staged.served == int(NOW)


def test_the_first_version(desk: Desk) -> None:
    desk.clear()
    assert exporter(desk).run(desk.model("B"), {"loss": 0.4}).reason == R.AWAITING_APPROVAL
    approve(desk.exports, desk.digest("B"), **WHO)
    assert desk.served == int(NOW)
    assert plain.recover(desk.exports) == ()
