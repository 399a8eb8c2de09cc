"""Worked frames with what they mean, and how what a codec read is compared with that.

A vector is accepted when its adapter returns facts and refused when it raises BadInput. Facts stand under the names that
`decoded` uses. A fact with a unit is `Measured`, and is found by dimension and words too: `energy_T1_Wh` finds the fact
`energy_t1` in kWh, `total_m3` the plainest volume there is. Numbers, truths and nulls of `decoded` that no fact answers
are differences ("not read"); of its texts only those that a fact names, or that name an address, a control code or a
data identifier: the rest is prose.

Frames whose numbers have no names and no scale, such as Modbus registers, give them under `ANONYMOUS`: a number that no other
fact answers must be one of them, but for a power of ten.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from telemetry.errors import BadInput

FOLDER = Path(os.environ.get("GATEHOUSE_VECTORS", Path(__file__).parents[3] / "shared" / "vectors"))

_UNITS: Mapping[str, tuple[str, float]] = {  # unit: dimension, factor to the unit that the dimension is compared in
    "Wh": ("Wh", 1),
    "kWh": ("Wh", 1e3),
    "MWh": ("Wh", 1e6),
    "J": ("Wh", 1 / 3600),
    "kJ": ("Wh", 1 / 3.6),
    "MJ": ("Wh", 1e3 / 3.6),
    "GJ": ("Wh", 1e6 / 3.6),
    "varh": ("varh", 1),
    "kvarh": ("varh", 1e3),
    "var": ("var", 1),
    "kvar": ("var", 1e3),
    "VA": ("VA", 1),
    "kVA": ("VA", 1e3),
    "W": ("W", 1),
    "kW": ("W", 1e3),
    "MW": ("W", 1e6),
    "V": ("V", 1),
    "mV": ("V", 1e-3),
    "kV": ("V", 1e3),
    "A": ("A", 1),
    "mA": ("A", 1e-3),
    "Hz": ("Hz", 1),
    "C": ("C", 1),
    "degC": ("C", 1),
    "Cel": ("C", 1),
    "K": ("K", 1),
    "pct": ("%", 1),
    "%": ("%", 1),
    "m3": ("m3", 1),
    "L": ("m3", 1e-3),
    "l": ("m3", 1e-3),
    "m3h": ("m3/h", 1),
    "Lh": ("m3/h", 1e-3),
    "m3/h": ("m3/h", 1),
    "L/h": ("m3/h", 1e-3),
    "lph": ("m3/h", 1e-3),
    "m": ("m", 1),
    "cm": ("m", 1e-2),
    "mm": ("m", 1e-3),
    "km": ("m", 1e3),
    "s": ("s", 1),
    "ms": ("s", 1e-3),
    "min": ("s", 60),
    "h": ("s", 3600),
    "day": ("s", 86400),
    "days": ("s", 86400),
    "bar": ("Pa", 1e5),
    "mbar": ("Pa", 100),
    "kPa": ("Pa", 1e3),
    "hPa": ("Pa", 100),
    "Pa": ("Pa", 1),
}
_FOLDED = {unit.casefold(): known for unit, known in _UNITS.items()}  # kwh, m3H
ANONYMOUS = "*"
_SCALES = tuple(10.0**n for n in range(-4, 5))
_MUST_BE_READ = re.compile(r"(^|_)(addr|address|control|di|id|fc|err|fabrication_no|meter_no|server_addr|station)($|_)")


@dataclass(frozen=True, slots=True)
class Vector:
    """One published or captured frame."""

    file: str
    name: str
    protocol: str
    is_good: bool  # whether a codec must accept it
    data: bytes  # of `hex`, or of `text` in UTF-8; empty where the frame is JSON
    raw: Mapping[str, Any]  # all that the file says
    decoded: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Measured:
    """A quantity that a codec read."""

    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Spellings:
    """A fact that may be written in several ways, such as a medium by its code or its name."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that was read differently."""

    key: str
    published: object
    read: object

    def __str__(self) -> str:
        return f"{self.key}: published {self.published!r:<24} read {self.read!r}"


Facts: TypeAlias = Mapping[str, Any]
Adapter: TypeAlias = Callable[[Vector], Facts]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one vector."""

    vector: Vector
    complaint: str  # empty: as expected
    differences: tuple[Difference, ...] = ()

    @property
    def is_expected(self) -> bool:
        return not self.complaint

    def __str__(self) -> str:
        lines = [f"{self.vector.file} {self.vector.name} ({self.vector.protocol}): {self.complaint or 'as expected'}"]
        return "\n    ".join([*lines, *map(str, self.differences)])


def files() -> Sequence[Path]:
    """Every vector file; none when the folder is missing."""
    return sorted(FOLDER.glob("*.json"))


def vectors(file: Path) -> Iterator[Vector]:
    for raw in json.loads(file.read_text(encoding="utf-8")):
        decoded = raw.get("decoded") or {}
        decoded = decoded if isinstance(decoded, dict) else {"records": decoded}
        is_refused = (
            "negative" in raw.get("kind", "")
            or raw.get("expect_checksum_ok") is False
            or str(decoded.get("expect", "")).startswith("reject")
        )
        data = bytes.fromhex(raw["hex"]) if "hex" in raw else raw.get("text", "").encode()
        yield Vector(file.name, raw["name"], raw["protocol"], not is_refused, data, raw, decoded)


def judge(vector: Vector, claims: Mapping[str, Adapter]) -> Verdict:
    """Run a vector through the codec that claims its protocol: the one with the longest fitting beginning."""
    fitting = [family for family in claims if vector.protocol.startswith(family)]
    if not fitting:
        return Verdict(vector, "no codec claims this protocol")
    try:
        facts = claims[max(fitting, key=len)](vector)
    except BadInput as error:
        return Verdict(vector, f"refused ({error}) and should be accepted" if vector.is_good else "")
    if not vector.is_good:
        return Verdict(vector, f"accepted and should be refused; read {dict(facts)}")
    found = tuple(differences(vector.decoded, facts))
    return Verdict(vector, "read differently" if found else "", found)


def differences(decoded: Mapping[str, Any], facts: Facts) -> Iterator[Difference]:
    """What of `decoded` a codec read differently, or did not read."""
    folded = {name.casefold(): fact for name, fact in facts.items()}
    for key, published in decoded.items():
        if key.casefold() in folded:
            read = folded[key.casefold()]
            unit = decoded.get("unit", decoded.get("quantity")) if key in ("value", "values") else _unit_of(key)
            if not _is_same(published, read, unit if isinstance(unit, str) else None):
                yield Difference(key, published, read)
        elif _is_quantity(published):
            candidates = _candidates(key, facts)
            if not candidates and _is_anonymous(published, facts.get(ANONYMOUS, ())):
                continue
            if not any(_is_same(published, fact, _unit_of(key)) for fact in candidates):
                yield Difference(key, published, candidates or "nothing of the kind")
        elif isinstance(published, str) and _MUST_BE_READ.search(key.casefold()):
            yield Difference(key, published, "nothing of the kind")


def _is_anonymous(published: object, numbers: Sequence[float]) -> bool:
    """Whether every published number is one of those without names."""
    wanted = published if isinstance(published, list) else [published]
    return bool(numbers) and all(
        any(_is_same(one, number * scale, None) for number in numbers for scale in _SCALES) for one in wanted
    )


def _is_quantity(published: object) -> bool:
    if isinstance(published, list):
        return bool(published) and all(map(_is_quantity, published))
    return published is None or isinstance(published, bool | int | float)


def _unit_of(key: str) -> str | None:
    """The unit in a key: its last word, or one of more than a letter before it (energy_kWh_T1)."""
    for number, word in enumerate(reversed(key.split("_")[1:])):
        if _dimension(word) is not None and (number == 0 or len(word) > 1):
            return word
    return None


def _dimension(unit: str) -> tuple[str, float] | None:
    return _UNITS.get(unit) or _FOLDED.get(unit.casefold())


def _candidates(key: str, facts: Facts) -> list[object]:
    """The facts that a key can mean: of its dimension, those with most words in common and fewest besides."""
    unit = _unit_of(key)
    dimension = _dimension(unit) if unit else None
    if dimension is None:
        return []
    words = set(key.casefold().split("_"))
    ranked: dict[tuple[int, int], list[object]] = {}
    for name, fact in facts.items():
        for one in fact if isinstance(fact, tuple | list) else [fact]:
            known = _dimension(one.unit) if isinstance(one, Measured) else None
            if known is not None and known[0] == dimension[0]:
                its_words = set(name.casefold().split("_"))
                ranked.setdefault((len(words & its_words), -len(its_words - words)), []).append(one)
    return ranked[max(ranked)] if ranked else []


def _is_same(published: object, read: object, unit: str | None) -> bool:
    """Whether both say one thing; `unit` is the published one, where it is told."""
    if isinstance(read, Measured):
        to, of = (_dimension(unit) if unit else None), _dimension(read.unit)
        if to is not None and of is not None:
            return to[0] == of[0] and _is_same(published, read.value * of[1] / to[1], None)
        return _is_same(published, read.value, None)
    if isinstance(read, Spellings):
        return any(_is_same(published, text, None) for text in read.texts)
    if isinstance(published, dict) and isinstance(read, Mapping):
        return not list(differences(published, read))
    if isinstance(published, list):
        return (
            isinstance(read, Sequence)
            and not isinstance(read, str)
            and len(read) == len(published)
            and all(_is_same(a, b, unit) for a, b in zip(published, read, strict=True))
        )
    if published is None or isinstance(published, bool):
        return published is read
    if isinstance(published, str):
        return _is_same_text(published, str(read)) or (type(read) is int and _leading_integer(published) == read)
    if isinstance(read, str):
        return _leading_integer(read) == published
    return (
        isinstance(published, int | float)
        and isinstance(read, int | float)
        and not isinstance(read, bool)
        and math.isclose(published, read, rel_tol=1e-6, abs_tol=1e-9)  # float32 has 24 bits
    )


def _is_same_text(published: str, read: str) -> bool:
    """Equal but for case and for what the published one adds: prose after the value, fewer seconds."""
    one, other = published.strip().casefold(), read.strip().casefold()
    if one == other:
        return True
    if re.match(r"\d{4}-\d\d-\d\d", one) and re.match(r"\d{4}-\d\d-\d\d", other):
        return other.replace("t", " ").startswith(one.replace("t", " "))
    return bool(other) and one.startswith(other) and not one[len(other)].isalnum()


def _leading_integer(text: str) -> int | None:
    match = re.match(r"\s*(0x[0-9a-fA-F]+|-?\d+)\b", text)
    return int(match[1], 0 if match[1].startswith("0x") else 10) if match else None
