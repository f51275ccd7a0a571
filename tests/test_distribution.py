"""Checks the order in which two processes get the groups of tests."""

import types
from pathlib import Path
from typing import Any, cast

from tests.distribution import GROUPS, Distribution

REPOSITORY = Path(__file__).parents[1]


class Node:
    """A process that records the tests it is given."""

    shutting_down = False
    gateway = types.SimpleNamespace(id="gw")

    def __init__(self) -> None:
        self.given: list[int] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        self.given += indices

    def shutdown(self) -> None:
        self.shutting_down = True


def test_the_groups_exist():
    places = [place for group in GROUPS.values() for place in group]
    assert [place for place in places if not (REPOSITORY / place).exists()] == []


def test_the_longest_groups_start_first_and_stay_together():
    config = types.SimpleNamespace(
        option=types.SimpleNamespace(loadscopereorder=True), getvalue=lambda name: ["2*popen"]
    )
    collection = [
        *(f"tests/executor/test_exporter.py::test[{number}]" for number in range(9)),
        *(f"{GROUPS['containers'][0]}test_b.py::test[{number}]" for number in range(3)),
        *(f"{GROUPS['faults'][0]}{name}.py::test" for name in "abc"),
    ]
    scheduling = Distribution(cast("Any", config))
    first, second = Node(), Node()
    for node in (first, second):
        scheduling.add_node(cast("Any", node))
        scheduling.add_node_collection(cast("Any", node), collection)
    scheduling.schedule()
    assert [collection[index] for index in first.given] == collection[12:]
    assert [collection[index] for index in second.given] == collection[9:12]
    # The process that finishes first gets the other tests.
    for index in second.given[:1]:
        scheduling.mark_test_complete(cast("Any", second), index)
    assert [collection[index] for index in second.given[3:]] == collection[:9]
