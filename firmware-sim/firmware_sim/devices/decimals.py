"""Packed decimals, low byte first, as DL/T 645, CJ/T 188 and M-Bus write numbers. They roll over as registers do."""

from __future__ import annotations


def packed(value: float, byte_count: int, decimals: int) -> bytes:
    """A number without its sign; beyond the digits there are it begins again at zero."""
    digits = 2 * byte_count
    return bytes.fromhex(f"{round(abs(value) * 10**decimals) % 10**digits:0{digits}d}")[::-1]


def packed_signed(value: float, byte_count: int, decimals: int) -> bytes:
    """The same with the sign in the top bit of the highest byte, which leaves its digit 0 to 7."""
    data = bytearray(packed(value, byte_count, decimals))
    data[-1] &= 0x7F
    if value < 0 and any(data):
        data[-1] |= 0x80
    return bytes(data)


def ends_with_sum(data: bytes) -> bytes:
    """The bytes, their sum modulo 256, and 16."""
    return data + bytes([sum(data) % 256, 0x16])
