"""Measures programs in turns, so that other load on the machine affects all of them."""

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
    """Yields the measurements of each round by name of the contestant.

    The order alternates. An additional first round warms caches and imports; it is not yielded.

    Args:
        contestants: Functions by name; each measures once and returns the result.
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
    """Returns pairs of measurements, ours and a peer's, by name of the peer.

    The measurements of a pair run one directly after the other. Pairs of different peers alternate,
    so that the load on the machine is the same for all peers.

    Args:
        ours: Function that measures once.
        peers: Functions that measure a peer once, by name.
        count: Number of pairs with each peer.
    """
    streams = [rounds_of({"ours": ours, "peer": peer}, count) for peer in peers.values()]
    found: dict[str, list[tuple[_T, _T]]] = {name: [] for name in peers}
    for measured in zip(*streams, strict=True):
        for name, pair in zip(peers, measured, strict=True):
            found[name].append((pair["ours"], pair["peer"]))
    return found


def timed(function: Callable[[Path], None], root: Path) -> Callable[[], float]:
    """Returns a function that measures the seconds of another function in a new directory.

    Earlier writes are synced before the clock starts. Otherwise a contestant would also pay for the
    writes of a peer that does not sync.

    Args:
        function: Function to measure. Its argument is the directory.
        root: Parent of the directories.
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
    """Returns the seconds of two functions in new directories, in pairs.

    Args:
        ours: Function of ours. Its argument is a directory.
        peer: Function of the peer, with the same argument.
        root: Parent of the directories.
        count: Number of pairs.
    """
    return pairs_with_each(timed(ours, root), {"peer": timed(peer, root)}, count)["peer"]


def expect(is_true: bool, expected: str, got: object) -> None:
    """Checks that a contestant did the expected work, so that its time is comparable.

    Raises:
        RuntimeError: The check failed.
    """
    if not is_true:
        raise RuntimeError(
            f"{expected} (got {got}). The benchmark does not measure the expected work."
        )


def write_model(path: Path, count: int = 0, size: int = 0) -> Path:
    """Writes a SavedModel with additional files of random content, and returns its path.

    Args:
        path: Directory to write.
        count: Number of additional files.
        size: Size of each additional file in bytes.
    """
    import tensorflow as tf

    module: Any = tf.Module()
    module.weight = tf.Variable(tf.constant(1.0))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def scaled(values: Any) -> dict[str, Any]:
        return {"values": values * module.weight}

    # A model without a serving signature is refused.
    tf.saved_model.save(module, str(path), signatures=scaled)
    assets = path / "assets"
    assets.mkdir(exist_ok=True)
    for index in range(count):
        with (assets / f"part-{index:05d}").open("wb") as file:
            for offset in range(0, size, 16 * MIB):
                file.write(os.urandom(min(16 * MIB, size - offset)))
    return path
