"""Chunks: streams that are simulated in several processes, and joined again."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

_Replay = TypeVar("_Replay")
_Task = TypeVar("_Task")


def replayed(
    work: Callable[[_Task], Mapping[str, _Replay]],
    tasks: Mapping[str, Sequence[_Task]],
    workers: int,
) -> dict[str, dict[str, _Replay]]:
    """Returns the replays by name of the scenario and name of the rule.

    Args:
        work: Replays one chunk of a scenario's streams, and returns the replay of each rule. It is
            called in another process if there are several.
        tasks: Arguments of `work` for the chunks of each scenario. The first chunk has every rule.
        workers: Number of processes.
    """
    # NumPy has threads, which a fork would not copy.
    context = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        replays_of = map
        if workers > 1:
            pool = concurrent.futures.ProcessPoolExecutor(workers, mp_context=context)
            replays_of = stack.enter_context(pool).map
        every = [task for chunks in tasks.values() for task in chunks]
        results = iter(replays_of(work, every))
        found = {name: [next(results) for _ in chunks] for name, chunks in tasks.items()}
    return {
        name: {
            rule: joined([replays[rule] for replays in chunks if rule in replays])
            for rule in chunks[0]
        }
        for name, chunks in found.items()
    }


def joined(replays: Sequence[_Replay]) -> _Replay:
    """Returns one replay with the streams of several.

    Args:
        replays: Equal dataclasses of arrays with one entry or row for each stream; at least one.
    """
    first: Any = replays[0]
    return dataclasses.replace(
        first,
        **{
            field.name: np.concatenate([getattr(replay, field.name) for replay in replays])
            for field in dataclasses.fields(first)
        },
    )
