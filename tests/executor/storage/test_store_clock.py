"""The clock of a store, from the Date headers of its responses."""

import pytest

from tfx_best_exporter.executor.storage.store_clock import StoreClock

DATE = "Wed, 25 Nov 2026 04:08:45 GMT"
SECONDS = 1795579725


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that this machine has been running, as the only element of a list."""
    seconds = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: seconds[0])
    return seconds


def test_no_time_before_the_first_response():
    clock = StoreClock()

    assert clock.now() is None
    assert clock.age_seconds(SECONDS) is None


def test_time_passes_after_a_response(monotonic: list[float]):
    clock = StoreClock()
    clock.note(DATE)
    monotonic[0] += 7.5

    assert clock.now() == SECONDS + 7.5
    assert clock.age_seconds(SECONDS - 60) == 67.5


def test_the_last_response_counts(monotonic: list[float]):
    clock = StoreClock()
    clock.note("Wed, 25 Nov 2026 04:00:00 GMT")
    monotonic[0] += 1
    clock.note(DATE)

    assert clock.now() == SECONDS


@pytest.mark.parametrize(
    "date",
    [
        pytest.param(DATE, id="GMT"),
        pytest.param("Wed, 25 Nov 2026 05:08:45 +0100", id="one hour east"),
        pytest.param("Wed, 25 Nov 2026 04:08:45 -0000", id="a zone that is not known"),
        pytest.param("Wed, 25 Nov 2026 04:08:45", id="no zone"),
    ],
)
def test_zones(monotonic: list[float], date: str):
    clock = StoreClock()
    clock.note(date)

    assert clock.now() == SECONDS


@pytest.mark.parametrize(
    "date",
    [
        pytest.param(None, id="no header"),
        pytest.param("", id="empty header"),
        pytest.param("yesterday", id="no date"),
    ],
)
def test_a_response_without_a_date_leaves_the_clock_unchanged(
    monotonic: list[float], date: str | None
):
    clock = StoreClock()
    clock.note(DATE)
    monotonic[0] += 2
    clock.note(date)

    assert clock.now() == SECONDS + 2
