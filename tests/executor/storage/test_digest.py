"""Digests of contents in memory."""

from tfx_best_exporter.executor.storage.digest import digest_of_bytes, masked_crc32c


def test_digest_of_bytes():
    # The check value of CRC-32C, of the digits 1 to 9.
    digest = digest_of_bytes(b"123456789")
    assert (digest.size, digest.crc32c) == (9, 0xE3069283)
    assert str(digest) == "9 bytes with CRC-32C e3069283"


def test_masked_crc32c():
    # The checksum of no bytes is 0, whose masked form is the constant.
    assert masked_crc32c(b"") == 0xA282EAD8
    # 0xE3069283 rotated to the right by 15 bits, plus the constant.
    assert masked_crc32c(b"123456789") == (0x2507C60D + 0xA282EAD8) & 0xFFFFFFFF
