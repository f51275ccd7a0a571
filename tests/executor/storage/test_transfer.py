import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfx_best_exporter.executor.storage import location_of, transfer
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.protocol import Storage
from tfx_best_exporter.executor.storage.transfer import in_batch, in_parallel


def test_results_are_in_order():
    def slow_if_first(number: int) -> int:
        time.sleep(0.05 if number == 0 else 0)
        return number

    assert in_parallel(slow_if_first, [*range(100)], LocalStorage()) == [*range(100)]


def test_small_files_of_a_disk_are_moved_by_one_thread():
    names = in_parallel(
        lambda _: threading.current_thread().name, [*range(50)], LocalStorage(), total_bytes=50
    )
    assert len(set(names)) == 1


class Far(LocalStorage):
    connections = 5
    small_file_connections = 5


@pytest.mark.parametrize("total_bytes", [None, 0], ids=["unknown size", "small"])
def test_the_storage_with_most_connections_decides(total_bytes: int | None):
    # The barrier opens only if five threads arrive at the same time.
    barrier = threading.Barrier(5, timeout=60)
    in_parallel(
        lambda _: barrier.wait(), [*range(5)], LocalStorage(), Far(), total_bytes=total_bytes
    )


def test_the_first_error_ends_it():
    done = []

    def fail_at_three(number: int) -> None:
        if number == 3:
            raise ValueError("three")
        time.sleep(0.001)
        done.append(number)

    with pytest.raises(ValueError, match="three"):
        in_parallel(fail_at_three, [*range(10_000)], LocalStorage())
    assert len(done) < 5_000


def test_an_interrupt_ends_it():
    done = []

    def slow(number: int) -> None:
        time.sleep(0.01)
        done.append(number)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            in_parallel(slow, [*range(10_000)], LocalStorage())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(done) < 5_000


def test_an_item_that_fails_does_not_keep_the_others():
    error, done = OSError("full"), []

    def change(_: Storage, item: int) -> None:
        if item == 2:
            raise error
        done.append(item)

    assert in_batch(change, [1, 2, 3], LocalStorage()) == {2: error}
    assert sorted(done) == [1, 3]


def test_no_item_has_succeeded_if_the_batch_is_not_durable():
    first, last = OSError("full"), OSError("broken")

    class Broken(LocalStorage):
        @contextlib.contextmanager
        def batch(self) -> Iterator[LocalStorage]:
            with super().batch() as view:
                yield view
            raise last

    def change(_: Storage, item: int) -> None:
        if item == 2:
            raise first

    assert in_batch(change, [1, 2], Broken()) == {1: last, 2: first}


def test_contents_are_written_with_the_files(tmp_path: Path):
    source, destination = location_of(tmp_path / "from"), location_of(tmp_path / "to")
    (source / "file").write(b"file")
    digests = transfer.copy_files(
        [(source / "file", destination / "file")],
        contents=[(lambda: b"content", destination / "a/content")],
    )
    assert digests == [(source / "file").digest()]
    assert {name: (destination / name).read(10) for name in destination.sizes()} == {
        "file": b"file",
        "a/content": b"content",
    }


class Wide(LocalStorage):
    small_file_connections = 2


def test_calls_at_once_wait_for_each_other():
    meeting = threading.Barrier(2)

    def arrive(number: int) -> int:
        meeting.wait(60)
        return number

    assert transfer.at_once(Wide(), lambda: arrive(1), lambda: arrive(2)) == [1, 2]


def test_a_request_that_is_made_soon_ends_with_its_context():
    may_end, ended = threading.Event(), []

    def work() -> None:
        assert may_end.wait(60)
        ended.append(True)

    with transfer.soon(Wide()) as make:
        make(work)
        assert not ended
        may_end.set()
    assert ended == [True]
    with transfer.soon(Wide()):
        pass
    assert ended == [True]


def test_a_disk_is_asked_at_once():
    ended = []
    with transfer.soon(LocalStorage()) as make:
        make(lambda: ended.append(threading.current_thread()))
        assert ended == [threading.main_thread()]


@pytest.mark.parametrize("storage", [LocalStorage, Wide])
def test_an_error_of_a_request_made_soon_is_raised(storage: type[LocalStorage]):
    def fail() -> None:
        raise OSError("no answer")

    with pytest.raises(OSError, match="no answer"), transfer.soon(storage()) as make:
        make(fail)
