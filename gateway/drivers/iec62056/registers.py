"""What the registers of an IEC 62056-21 readout mean, by their codes (OBIS, the groups C.D.E).

Makers write the same register in more or less full codes: 1-0:1.8.0, 1.8.0, 1.8.0*255. The groups in the middle decide. With
another number behind it than 255 (1.8.0*12, 1.8.0&12) it is as it stood when a billing period ended.

Source: IEC 62056-61:2002; IEC 62056-6-1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

OBIS: Mapping[str, str] = {
    "1.8.0": "energy import",
    "2.8.0": "energy export",
    "3.8.0": "reactive energy import",
    "4.8.0": "reactive energy export",
    "15.8.0": "energy absolute",
    "1.7.0": "power import",
    "2.7.0": "power export",
    "16.7.0": "power",
    "3.7.0": "reactive power import",
    "13.7.0": "power factor",
    "14.7.0": "frequency",
    "31.7.0": "current L1",
    "51.7.0": "current L2",
    "71.7.0": "current L3",
    "32.7.0": "voltage L1",
    "52.7.0": "voltage L2",
    "72.7.0": "voltage L3",
    "8.0.0": "volume",
    "8.1.0": "volume",
}
_GROUPS = re.compile(r"(?:\d+-\d+:)?(\d+\.\d+(?:\.\d+)?(?:[*&]\d+)?)$")


def short_code(address: str) -> str:
    """A register's code without what makers add in front and behind; as it came where it is no such code."""
    match = _GROUPS.match(address)
    return match[1].removesuffix("*255") if match else address
