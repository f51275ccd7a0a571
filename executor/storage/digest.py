"""What is known of a file's content."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileDigest:
    """Size in bytes and CRC-32C (Castagnoli) of a file's content."""

    size: int
    crc32c: int
