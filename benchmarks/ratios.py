"""Ratios of two measurements, and what is measured."""

from __future__ import annotations

import dataclasses
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MIB = 1 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ratio:
    """One line of the results.

    Attributes:
        name: What was measured, beside what.
        ours: Seconds or bytes, the median.
        peer: The same of the peer.
        ratio: Median of the pairs' ratios.
        pairs: Number of pairs.
        limit: What the ratio must not exceed; None where there is no such figure.
        unit: Of ours and peer.
    """

    name: str
    ours: float
    peer: float
    ratio: float
    pairs: int
    limit: float | None
    unit: str = "s"


def write_model(path: Path, count: int = 0, size: int = 0) -> Path:
    """Writes a SavedModel with further files of random content, and returns its path."""
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


def ratio_of(
    name: str, measured: Sequence[tuple[float, float]], limit: float | None, unit: str = "s"
) -> Ratio:
    """Returns the medians of pairs."""
    return Ratio(
        name=name,
        ours=statistics.median(ours for ours, _ in measured),
        peer=statistics.median(peer for _, peer in measured),
        ratio=statistics.median(ours / peer for ours, peer in measured),
        pairs=len(measured),
        limit=limit,
        unit=unit,
    )


def show(ratios: Sequence[Ratio]) -> str:
    """Returns the results as a table in Markdown."""
    lines = [
        "| measured | ours | peer | ratio (median) | pairs | limit | |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for item in ratios:
        verdict = "" if item.limit is None else ("met" if item.ratio <= item.limit else "missed")
        limit = "" if item.limit is None else f"{item.limit:.2f}"
        lines.append(
            f"| {item.name} | {item.ours:.3g} {item.unit} | {item.peer:.3g} {item.unit} |"
            f" {item.ratio:.2f} | {item.pairs} | {limit} | {verdict} |"
        )
    return "\n".join(lines) + "\n"
