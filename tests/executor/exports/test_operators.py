"""The files of operators: what is written is read, and what is damaged still counts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.executor.bucket import Bucket
from tfx_best_exporter.executor.exports.operators import (
    Instructions,
    OperatorNames,
    Operators,
    OperatorState,
    hex_of,
    hold_at,
)
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.protocol import StorageError
from tfx_best_exporter.proto import best_exporter_pb2 as pb

DIGEST = f"sha256:{'ab' * 32}"
ACTION = pb.OperatorAction(operator="ana@serving-1", reason="wrong labels")
ACTION.at.FromSeconds(1000)


@pytest.fixture(params=["disk", "store"])
def operators(request: pytest.FixtureRequest, tmp_path: Path) -> Operators:
    if request.param == "disk":
        return Operators(location_of(tmp_path / "state"))
    return Operators(Bucket(tmp_path).location("state"))


def hold_until(seconds: int) -> pb.Hold:
    hold = pb.Hold(action=ACTION)
    hold.until.FromSeconds(seconds)
    return hold


def test_nothing_is_said_without_files(operators: Operators):
    assert operators.names() == OperatorNames()
    assert operators.read() == OperatorState()
    assert operators.instructions(0.0) == Instructions()
    assert operators.fingerprint(0.0) == ""


def test_what_is_written_is_read(operators: Operators):
    operators.write_hold(hold_until(2000))
    operators.write_rejection(pb.Rejection(action=ACTION, digest=DIGEST, version=7))
    operators.write_pin(pb.Pin(action=ACTION, version=0))
    operators.write_release(pb.Release(action=ACTION, version=8))
    operators.write_withdrawal(
        pb.Withdrawal(action=ACTION, version=9, state=pb.Withdrawal.WITHDRAWN, digest=DIGEST)
    )
    state = operators.read()
    assert state.hold is not None
    assert state.hold.until.seconds == 2000
    assert {digest: each.version for digest, each in state.rejected.items()} == {DIGEST: 7}
    assert list(state.pins) == [0]
    assert list(state.released) == [8]
    assert state.withdrawn[9].state == pb.Withdrawal.WITHDRAWN
    said = [state.hold, state.rejected[DIGEST], state.pins[0], state.released[8]]
    assert [each.action for each in [*said, state.withdrawn[9]]] == [ACTION] * 5
    assert operators.names() == OperatorNames(
        rejected=frozenset({DIGEST}),
        pins=frozenset({0}),
        released=frozenset({8}),
        withdrawn=frozenset({9}),
    )
    operators.remove_hold()
    operators.remove_rejection(DIGEST)
    operators.remove_pin(0)
    operators.remove_withdrawal(9)
    assert operators.names() == OperatorNames(released=frozenset({8}))
    assert operators.hold() is None


@pytest.mark.parametrize(
    ("write", "problem"),
    [
        pytest.param(lambda path: path.write_text("{"), "cannot be parsed", id="damaged"),
        pytest.param(Path.mkdir, "not a regular file", id="directory"),
        pytest.param(
            lambda path: path.write_text('{"schema_version": 2}'), "schema_version", id="newer"
        ),
    ],
)
def test_a_damaged_file_counts_by_its_name(
    tmp_path: Path, write: Callable[[Path], object], problem: str
):
    operators = Operators(location_of(tmp_path))
    names = {
        "hold.json": lambda: operators.instructions(1e12).hold,
        f"rejected/{hex_of(DIGEST)}.json": lambda: operators.read().rejected[DIGEST],
        "pins/7.json": lambda: operators.read().pins[7],
        "withdrawn/7.json": lambda: operators.read().withdrawn[7],
    }
    for name, read in names.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        write(path)
        found = read()
        assert found is not None
        assert problem in found.action.reason
    assert operators.read().withdrawn[7].state == pb.Withdrawal.STATE_UNSPECIFIED
    assert operators.names().pins == {7}


def test_a_file_about_something_else_counts_by_its_name(tmp_path: Path):
    operators = Operators(location_of(tmp_path))
    operators.write_pin(pb.Pin(action=ACTION, version=7))
    (tmp_path / "pins" / "7.json").rename(tmp_path / "pins" / "8.json")
    (pin,) = operators.read().pins.values()
    assert pin.version == 8
    assert "something else" in pin.action.reason


@pytest.mark.parametrize("name", ["hold.json", "pins/7.json"])
def test_a_link_is_refused(tmp_path: Path, name: str):
    path = tmp_path / "state" / name
    path.parent.mkdir(parents=True)
    (tmp_path / "elsewhere").write_text("{}")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        Operators(location_of(tmp_path / "state")).instructions(0.0)


def test_other_names_do_not_count(tmp_path: Path):
    for name in ("pins/07.json", "pins/x.json", "rejected/ab.json", ".7.json.partial"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert Operators(location_of(tmp_path)).names() == OperatorNames()


@pytest.mark.parametrize(
    ("hold", "now", "is_active"),
    [
        (None, 0.0, False),
        (pb.Hold(action=ACTION), 1e12, True),
        (hold_until(2000), 1999.9, True),
        (hold_until(2000), 2000.0, False),
    ],
)
def test_a_hold_ends(hold: pb.Hold | None, now: float, is_active: bool):
    assert hold_at(hold, now) == (hold if is_active else None)


def test_the_fingerprint_changes_with_each_file_and_with_the_end_of_a_hold(operators: Operators):
    seen = [operators.fingerprint(0.0)]
    for change in (
        lambda: operators.write_hold(hold_until(2000)),
        lambda: operators.write_hold(hold_until(3000)),
        lambda: operators.write_rejection(pb.Rejection(action=ACTION, digest=DIGEST)),
        lambda: operators.write_pin(pb.Pin(action=ACTION, version=7)),
        lambda: operators.write_release(pb.Release(action=ACTION, version=7)),
        lambda: operators.write_withdrawal(pb.Withdrawal(action=ACTION, version=7)),
    ):
        change()
        assert operators.fingerprint(0.0) == operators.fingerprint(1.0)
        seen.append(operators.fingerprint(0.0))
    seen.append(operators.fingerprint(3000.0))
    assert len({*seen}) == len(seen) == 8


def test_a_text_that_is_no_digest_is_refused():
    with pytest.raises(ValueError, match="digest must be 'sha256:' and 64 hexadecimal digits"):
        hex_of("../hold")
