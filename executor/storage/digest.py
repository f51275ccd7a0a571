"""What is known of a file's content."""

from __future__ import annotations

import dataclasses

import google_crc32c


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileDigest:
    """Size in bytes and CRC-32C (Castagnoli) of a file's content."""

    size: int
    crc32c: int

    def __str__(self) -> str:
        return f"{self.size} bytes with CRC-32C {self.crc32c:08x}"


def digest_of_bytes(content: bytes) -> FileDigest:
    """Returns the digest of a content that is in memory."""
    return FileDigest(size=len(content), crc32c=google_crc32c.value(content))
