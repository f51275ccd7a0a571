import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.executor.exports import tables
from tfx_best_exporter.executor.exports import sstable
from tfx_best_exporter.executor.exports.sstable import CompressedError, TableError

PAIRS = [(b"", b"header"), (b"a", b""), (b"abc", b"1"), (b"abd", b"2" * 300), (b"b", b"3")]


@pytest.mark.parametrize("restart_interval", [1, 2, 16])
@pytest.mark.parametrize("size", [1, 2, 5], ids="{} a block".format)
def test_read(size: int, restart_interval: int):
    parts = [PAIRS[start : start + size] for start in range(0, len(PAIRS), size)]
    blocks = [tables.block(part, restart_interval=restart_interval) for part in parts]
    assert list(sstable.read(tables.table(blocks))) == PAIRS


def test_an_empty_table():
    assert list(sstable.read(tables.table([]))) == []
    assert list(sstable.read(tables.table([tables.block([])]))) == []


@given(st.dictionaries(st.binary(max_size=40), st.binary(max_size=40), max_size=60))
def test_read_what_was_written(values: dict[bytes, bytes]):
    pairs = sorted(values.items())
    blocks = [tables.block(pairs[start : start + 20]) for start in range(0, len(pairs), 20)]
    assert list(sstable.read(tables.table(blocks))) == pairs


def test_every_changed_byte_of_a_block_is_found():
    content = tables.table([tables.block(PAIRS)])
    for position in range(len(content) - 48):
        damaged = bytearray(content)
        damaged[position] ^= 1
        with pytest.raises(TableError):
            list(sstable.read(bytes(damaged)))


def test_every_length_of_a_table_but_the_whole_is_refused():
    content = tables.table([tables.block(PAIRS)])
    for length in range(len(content)):
        with pytest.raises(TableError):
            list(sstable.read(content[:length]))


@given(st.binary(max_size=200), st.binary(max_size=40))
def test_whatever_lies_in_a_table_is_read_or_refused(content: bytes, handles: bytes):
    """Any content with a correct checksum is either read or raises a TableError."""
    for each in (
        tables.table([content]),
        tables.sealed(content) + tables.footer(0, len(content)),
        content + handles.ljust(40, b"\0") + tables.MAGIC,
    ):
        try:
            pairs = list(sstable.read(each))
        except TableError:
            continue
        assert sum(len(value) for _, value in pairs) <= len(content)


def with_handles(*handles: bytes) -> bytes:
    """Returns a table of one block, with an index block that says something else."""
    data = tables.block(PAIRS)
    index = tables.block([(b"%d" % number, each) for number, each in enumerate(handles)])
    sealed = tables.sealed(data) + tables.sealed(index)
    return sealed + tables.footer(len(data) + 5, len(index))


HANDLE = tables.varint(0) + tables.varint(len(tables.block(PAIRS)))


def test_with_handles():
    assert list(sstable.read(with_handles(HANDLE))) == PAIRS


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b"", "the footer of the table is missing", id="empty"),
        pytest.param(bytes(48), "the footer of the table is missing", id="no magic"),
        pytest.param(tables.MAGIC, "the footer of the table is missing", id="magic alone"),
        pytest.param(
            b"\xff" * 40 + tables.MAGIC,
            "a number is incomplete or has more than 64 bits",
            id="huge numbers",
        ),
        pytest.param(
            tables.footer(2**63, 8),
            f"the block at offset {2**63} extends beyond the table",
            id="far offset",
        ),
        pytest.param(
            tables.footer(0, 2**63),
            "the block at offset 0 extends beyond the table",
            id="huge size",
        ),
        pytest.param(
            tables.footer(0, 0), "the block at offset 0 has a wrong checksum", id="no checksum"
        ),
        pytest.param(
            with_handles(HANDLE, HANDLE),
            "the block at offset 0 overlaps another block",
            id="a block twice",
        ),
        pytest.param(
            with_handles(b"\x80"),
            "a number is incomplete or has more than 64 bits",
            id="half a handle",
        ),
        pytest.param(
            tables.sealed(b"abc") + tables.footer(0, 3),
            "a block is too short for its list of offsets",
            id="no restarts",
        ),
        pytest.param(
            tables.table([tables.raw_block(b"")[:-4] + b"\xff\xff\xff\xff"]),
            "a block is too short for its list of offsets",
            id="too many restarts",
        ),
        pytest.param(
            tables.table([tables.raw_block(tables.entry(1, b"a", b""))]),
            "an entry extends beyond its block",
            id="shares more than there is",
        ),
        pytest.param(
            tables.table([tables.raw_block(b"\x00\x09\x00abc")]),
            "an entry extends beyond its block",
            id="key beyond the block",
        ),
        pytest.param(
            tables.table([tables.raw_block(b"\x00\x00" + tables.varint(2**63) + b"abc")]),
            "an entry extends beyond its block",
            id="value beyond the block",
        ),
    ],
)
def test_what_is_damaged_is_refused(content: bytes, problem: str):
    with pytest.raises(TableError) as caught:
        list(sstable.read(content))
    assert str(caught.value) == problem
    assert not isinstance(caught.value, CompressedError)


def long_keys() -> bytes:
    """Returns a table of 4 MB whose keys would take a terabyte."""
    first = tables.entry(0, b"k" * (1 << 20), b"")
    return tables.table([tables.raw_block(first + tables.entry(1 << 20, b"", b"") * (1 << 20))])


def many_handles() -> bytes:
    """Returns a table of 2 MB whose blocks would take a terabyte."""
    data = tables.block([(b"key", b"v" * (1 << 20))])
    handle = tables.varint(0) + tables.varint(len(data))
    index = tables.raw_block(tables.entry(0, b"", handle) * (1 << 17))
    return tables.sealed(data) + tables.sealed(index) + tables.footer(len(data) + 5, len(index))


@pytest.mark.parametrize(
    ("write", "problem"),
    [
        pytest.param(long_keys, "the keys of a block are too long for its size", id="long keys"),
        pytest.param(
            many_handles, "the block at offset 0 overlaps another block", id="many handles"
        ),
    ],
)
def test_what_would_take_a_terabyte_is_refused(write: Callable[[], bytes], problem: str):
    content = write()
    start = time.process_time()
    with pytest.raises(TableError) as caught:
        for _ in sstable.read(content):
            pass
    assert str(caught.value) == problem
    assert time.process_time() - start < 10


def test_keys_may_share_all_that_writers_let_them_share():
    """Writers store every 16th key in full, so 15 keys may share a long prefix."""
    pairs = [(b"k" * 2000 + number.to_bytes(2, "big"), b"") for number in range(64)]
    assert list(sstable.read(tables.table([tables.block(pairs)]))) == pairs


def test_a_compressed_block_is_a_case_of_its_own():
    content = tables.table([tables.block(PAIRS)], is_compressed=True)
    with pytest.raises(CompressedError, match="is compressed"):
        list(sstable.read(content))
