"""Digests of files: size and CRC-32C, and the notation of object stores for a CRC-32C."""

from __future__ import annotations

import base64
import dataclasses

import google_crc32c

_MASK_DELTA = 0xA282EAD8


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileDigest:
    """Size in bytes and CRC-32C (Castagnoli) of a file's content."""

    size: int
    crc32c: int

    def __str__(self) -> str:
        return f"{self.size} bytes with CRC-32C {self.crc32c:08x}"


def digest_of_bytes(content: bytes) -> FileDigest:
    """Returns the digest of content in memory."""
    return FileDigest(size=len(content), crc32c=google_crc32c.value(content))


def crc32c_to_int(text: str) -> int:
    """Returns the number of a CRC-32C that a store wrote as base64 of four bytes, big-endian."""
    return int.from_bytes(base64.b64decode(text), "big")


def crc32c_to_text(crc32c: int) -> str:
    """Returns a CRC-32C as stores write it: base64 of its four bytes, big-endian."""
    return base64.b64encode(crc32c.to_bytes(4, "big")).decode()


def masked_crc32c(content: bytes) -> int:
    """Returns the CRC-32C of a content in the masked form of LevelDB's and TensorFlow's files.

    They mask checksums because a CRC of data that contains CRCs is unreliable.
    """
    checksum = google_crc32c.value(content)
    return ((checksum >> 15 | checksum << 17) + _MASK_DELTA) & 0xFFFFFFFF
