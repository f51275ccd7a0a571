"""Writes tables in the format that sstable.py reads, by LevelDB's documentation."""

from collections.abc import Iterable, Sequence

import google_crc32c

Pairs = Sequence[tuple[bytes, bytes]]

MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")


def varint(number: int) -> bytes:
    result = b""
    while number >= 0x80:
        result += bytes([number & 0x7F | 0x80])
        number >>= 7
    return result + bytes([number])


def entry(shared: int, unshared: bytes, value: bytes) -> bytes:
    return varint(shared) + varint(len(unshared)) + varint(len(value)) + unshared + value


def block(pairs: Pairs, *, restart_interval: int = 16) -> bytes:
    content, restarts, last = b"", [], b""
    for number, (key, value) in enumerate(pairs):
        shared = 0
        if number % restart_interval:
            while last[: shared + 1] == key[: shared + 1] and shared < len(key):
                shared += 1
        else:
            restarts.append(len(content))
        content += entry(shared, key[shared:], value)
        last = key
    return raw_block(content, restarts or [0])


def raw_block(content: bytes, restarts: Iterable[int] = (0,)) -> bytes:
    numbers = [*restarts]
    return b"".join([content, *(n.to_bytes(4, "little") for n in (*numbers, len(numbers)))])


def snappy(content: bytes) -> bytes:
    """Returns content in Snappy's format with literals only: valid, but not shorter."""
    parts = [content[start : start + 60] for start in range(0, len(content), 60)]
    literals = (bytes([(len(part) - 1) << 2]) + part for part in parts)
    return varint(len(content)) + b"".join(literals)


def sealed(content: bytes, compression: int = 0) -> bytes:
    """Returns a block with its trailer."""
    content += bytes([compression])
    checksum = google_crc32c.value(content)
    masked = ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return content + masked.to_bytes(4, "little")


def footer(offset: int, size: int) -> bytes:
    handles = varint(0) + varint(0) + varint(offset) + varint(size)
    return handles.ljust(40, b"\0") + MAGIC


def table(blocks: Sequence[bytes], *, is_compressed: bool = False) -> bytes:
    """Returns a table of blocks that `block` has made."""
    content, handles = b"", []
    for number, each in enumerate(blocks):
        written = snappy(each) if is_compressed else each
        # Keys in the index block must not be smaller than any key of their data block.
        key = b"\xff" + number.to_bytes(4, "big")
        handles.append((key, varint(len(content)) + varint(len(written))))
        content += sealed(written, 1 if is_compressed else 0)
    index = block(handles, restart_interval=1)
    return content + sealed(index) + footer(len(content), len(index))
