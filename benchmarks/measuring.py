"""Measurements of two programs in turn, so that whatever else the machine does meets both."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

MIB = 1 << 20

_T = TypeVar("_T")


def rounds_of(contestants: Mapping[str, Callable[[], _T]], count: int) -> Iterator[dict[str, _T]]:
    """Yields what each contestant measured, round by round.

    The order alternates. A round before the first one warms caches and imports.

    Args:
        contestants: Each measures once and returns the result.
        count: Number of rounds.
    """
    for index in range(count + 1):
        names = list(contestants)[:: -1 if index % 2 else 1]
        measured = {name: contestants[name]() for name in names}
        if index:
            yield measured


def pairs_with_each(
    ours: Callable[[], _T], peers: Mapping[str, Callable[[], _T]], count: int
) -> dict[str, list[tuple[_T, _T]]]:
    """Returns pairs of measurements, ours and a peer's, by peer.

    The two of a pair run right after each other. Pairs of different peers alternate, so that no
    peer has a quieter machine than the other ones.

    Args:
        ours: Measures once.
        peers: The same.
        count: Number of pairs with each peer.
    """
    streams = [rounds_of({"ours": ours, "peer": peer}, count) for peer in peers.values()]
    found: dict[str, list[tuple[_T, _T]]] = {name: [] for name in peers}
    for measured in zip(*streams, strict=True):
        for name, pair in zip(peers, measured, strict=True):
            found[name].append((pair["ours"], pair["peer"]))
    return found


def timed(function: Callable[[Path], None], root: Path) -> Callable[[], float]:
    """Returns a function that measures how many seconds another one takes on a fresh folder.

    Earlier writes are on disk before the clock starts: a peer that does not sync must not leave its
    writing to the next one.

    Args:
        function: Is given the folder.
        root: Where folders are made.
    """

    def measure() -> float:
        path = root / "measured"
        path.mkdir()
        os.sync()
        started = time.perf_counter()
        function(path)
        seconds = time.perf_counter() - started
        os.sync()
        shutil.rmtree(path)
        return seconds

    return measure


def pairs_of(
    ours: Callable[[Path], None], peer: Callable[[Path], None], root: Path, count: int
) -> list[tuple[float, float]]:
    """Returns the seconds that two functions take on fresh folders, in pairs.

    Args:
        ours: Is given a folder.
        peer: The same.
        root: Where folders are made.
        count: Number of pairs.
    """
    return pairs_with_each(timed(ours, root), {"peer": timed(peer, root)}, count)["peer"]


def expect(is_true: bool, expected: str, got: object) -> None:
    """Checks that a contestant did its work: the time of another work says nothing.

    Raises:
        RuntimeError: It did not.
    """
    if not is_true:
        raise RuntimeError(f"{expected} (got {got}). The benchmark measures something else.")


def write_model(path: Path, count: int = 0, size: int = 0) -> Path:
    """Writes a SavedModel with further files of random content, and returns its path.

    Args:
        path: Where to.
        count: Number of further files.
        size: Bytes of each.
    """
    import tensorflow as tf

    module: Any = tf.Module()
    module.weight = tf.Variable(tf.constant(1.0))
    tf.saved_model.save(module, str(path))
    assets = path / "assets"
    assets.mkdir(exist_ok=True)
    for index in range(count):
        with (assets / f"part-{index:05d}").open("wb") as file:
            for offset in range(0, size, 16 * MIB):
                file.write(os.urandom(min(16 * MIB, size - offset)))
    return path
