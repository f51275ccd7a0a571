from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import measuring


def recorder(ran: list[str], name: str) -> Callable[[], str]:
    def measure() -> str:
        ran.append(name)
        return f"{name} {ran.count(name)}"

    return measure


class TestRounds:
    def test_order_alternates_and_the_first_round_is_left_out(self):
        ran: list[str] = []
        contestants = {name: recorder(ran, name) for name in "abc"}
        assert list(measuring.rounds_of(contestants, 2)) == [
            {"c": "c 2", "b": "b 2", "a": "a 2"},
            {"a": "a 3", "b": "b 3", "c": "c 3"},
        ]
        assert "".join(ran) == "abccbaabc"


class TestPairs:
    def test_peers_alternate(self):
        ran: list[str] = []
        ours = recorder(ran, "o")
        peers = {"a": recorder(ran, "a"), "b": recorder(ran, "b")}
        found = measuring.pairs_with_each(ours, peers, 2)
        assert {name: len(pairs) for name, pairs in found.items()} == {"a": 2, "b": 2}
        assert all(ours[0] == "o" for pairs in found.values() for ours, _ in pairs)
        assert all(peer[0] == name for name, pairs in found.items() for _, peer in pairs)
        # Each pair is measured once as a warm-up. Then the peers alternate.
        assert "".join(ran) == "oaaoobbooaob"

    def test_fresh_folders(self, tmp_path: Path):
        found: list[list[Path]] = []

        def write(path: Path) -> None:
            found.append(list(path.iterdir()))
            (path / "file").write_text("x")

        pairs = measuring.pairs_of(write, write, tmp_path, 2)
        assert found == [[]] * 6
        assert len(pairs) == 2
        assert all(seconds > 0 for pair in pairs for seconds in pair)
        assert list(tmp_path.iterdir()) == []


def test_other_work_than_expected():
    measuring.expect(True, "it must be exported", "anything")
    with pytest.raises(RuntimeError, match=r"it must be exported \(got NOT_BETTER\)"):
        measuring.expect(False, "it must be exported", "NOT_BETTER")
