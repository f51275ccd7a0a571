"""Reads LevelDB's sorted tables of keys and values, the format of TensorFlow's variables.index.

A table is a list of blocks and a footer of 48 bytes. The footer begins with two handles and ends
with a magic number. The handles hold offset and size of the meta index, which TensorFlow leaves
empty, and of the index block. The values of the index block are the handles of the data blocks. See
https://github.com/google/leveldb/blob/main/doc/table_format.md.

A table may be damaged or malicious. Reading takes time and memory in proportion to the size of the
table, because blocks that overlap and keys that grow without bound are errors.
"""

from __future__ import annotations

from collections.abc import Iterator

from tfx_best_exporter.executor.storage.digest import masked_crc32c

_FOOTER_BYTES = 48
_MAGIC = bytes.fromhex("57fb808b247547db")
# A trailer is one byte for the compression, and a checksum of the block and of that byte.
_TRAILER_BYTES = 5
_UNCOMPRESSED = 0
# Keys share a prefix with the key before them, which is not stored again. Writers store every 16th
# key in full, so the keys have at most 16 times the bytes of their stored form.
_MAX_GROWTH = 64


class TableError(ValueError):
    """A table is damaged."""


class CompressedError(TableError):
    """A block is compressed. TensorFlow reads such tables, but never writes them."""


def read(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields each key and value of a table, in order of the keys.

    Raises:
        CompressedError: A block is compressed.
        TableError: The table is damaged.
    """
    if len(table) < _FOOTER_BYTES or not table.endswith(_MAGIC):
        raise TableError("the footer of the table is missing")
    footer = table[-_FOOTER_BYTES:]
    *_, offset, size = _varints(footer, 0, 4)[0]
    end = 0
    for _, handle in _entries(_block(table, offset, size)):
        offset, size = _varints(handle, 0, 2)[0]
        if offset < end:
            raise TableError(f"the block at offset {offset} overlaps another block")
        yield from _entries(_block(table, offset, size))
        end = offset + size


def _block(table: bytes, offset: int, size: int) -> bytes:
    end = offset + size + 1
    trailer = table[end - 1 : end - 1 + _TRAILER_BYTES]
    if len(trailer) < _TRAILER_BYTES:
        raise TableError(f"the block at offset {offset} extends beyond the table")
    checksum = int.from_bytes(trailer[1:], "little")
    if masked_crc32c(table[offset:end]) != checksum:
        raise TableError(f"the block at offset {offset} has a wrong checksum")
    if trailer[0] != _UNCOMPRESSED:
        raise CompressedError(f"the block at offset {offset} is compressed")
    return table[offset : end - 1]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    # Each block ends with the offsets of the keys that are stored in full, and their number.
    end = len(block) - 4 * (1 + int.from_bytes(block[-4:], "little"))
    if len(block) < 4 or end < 0:
        raise TableError("a block is too short for its list of offsets")
    key, position, key_bytes = b"", 0, 0
    while position < end:
        (shared, unshared, size), position = _varints(block, position, 3)
        value_position = position + unshared
        next_position = value_position + size
        if shared > len(key) or next_position > end:
            raise TableError("an entry extends beyond its block")
        key = key[:shared] + block[position:value_position]
        key_bytes += len(key)
        if key_bytes > _MAX_GROWTH * len(block):
            raise TableError("the keys of a block are too long for its size")
        yield key, block[value_position:next_position]
        position = next_position


def _varints(data: bytes, position: int, count: int) -> tuple[list[int], int]:
    """Returns `count` numbers of at most 64 bits, and the position after them."""
    values = []
    for _ in range(count):
        value = shift = 0
        while True:
            if position >= len(data) or shift >= 64:
                raise TableError("a number is incomplete or has more than 64 bits")
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        values.append(value)
    return values, position
