import logging

import pytest

from tfx_best_exporter.executor.storage.tolerated import collected, tolerate


def test_the_first_problem_of_a_kind_is_collected(caplog: pytest.LogCaptureFixture):
    with collected() as problems:
        tolerate("sync", "first")
        tolerate("sync", "second")
        tolerate("modes", "other")
    assert problems == {"sync": "first", "modes": "other"}
    assert caplog.messages == []


def test_a_block_within_a_block_has_its_own_problems():
    with collected() as outer, collected() as inner:
        tolerate("sync", "inside")
    assert (outer, inner) == ({}, {"sync": "inside"})


def test_a_problem_outside_of_a_run_is_logged(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        tolerate("sync", "nobody collects")
    assert caplog.messages == ["nobody collects"]
