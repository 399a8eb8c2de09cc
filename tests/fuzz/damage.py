"""Damage: what lines, networks and bad firmware make of a message, and what somebody with ill will does."""

from __future__ import annotations

import random
from collections.abc import Sequence

INPUT_MAX = 4_096
_ODD = (0, 1, 0x0A, 0x0D, 0x16, 0x20, 0x22, 0x2F, 0x3D, 0x5B, 0x68, 0x7B, 0x7F, 0x80, 0xFE, 0xFF)
_TOKENS = tuple(
    token.encode("latin-1")
    for token in (
        "null", "true", "-1", "0", "1e999", "NaN", "9" * 30, "-0.0", '"', "\\u0000", "\\ud800", "[", "{", "]]",
        "}}", "<", "</", "<!", "&#0;", "&", "=", "&&", ";", ",", "##", "\r\n", "\r\n\r\n", "--", ":", "%00",
        "\xc3", "\xff\xff\xff\xff", "\0\0\0\0",
        "\x7f\xff\xff\xff", "\x80\0\0\0", "0001", "9999", "2026-13-45T99:99:99", "1e5", "chunked", "Content-Length: -1",
    )
)  # fmt: skip


def damaged(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """One of the messages with one to four things done to it; now and then random bytes instead."""
    kind = rng.random()
    if kind < 0.03:
        return rng.randbytes(rng.randrange(200))
    data = bytearray(rng.choice(seeds))
    for _ in range(1 + int(4 * kind * kind)):
        size = len(data)
        if not size:
            break
        at = int(rng.random() * size)
        match int(rng.random() * 9):
            case 0:
                data[at] = int(rng.random() * 256)
            case 1:
                data[at] ^= 1 << int(rng.random() * 8)
            case 2:
                data[at] = _ODD[int(rng.random() * len(_ODD))]
            case 3:
                del data[at : at + 1 + int(rng.random() * 8)]
            case 4:
                data[at:at] = data[at : at + 1 + int(rng.random() * 32)]
            case 5:
                del data[at:]
            case 6:
                data[at:at] = _TOKENS[int(rng.random() * len(_TOKENS))]
            case 7:
                token = _TOKENS[int(rng.random() * len(_TOKENS))]
                data[at : at + len(token)] = token
            case _:
                other = rng.choice(seeds)
                cut = int(rng.random() * len(other)) if other else 0
                data[at : at + int(rng.random() * 32)] = other[cut : cut + int(rng.random() * 64)]
    return bytes(data[:INPUT_MAX])
