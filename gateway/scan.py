"""What one person's measurement is once its scanner's sloppiness is out of it: values, times, and a key for the passage.

A number may be a text. "", null and 0 mean "not measured". Without a time ("" and 0 are none either), and where the
scanner's clock was never set (text that is no time, a year before 2020), the gateway's own counts, as a suspect one: a
fever must not go unseen because a battery is empty. Truth comes as true, "true", 1 and "1".

A person's number, card or name never leaves this module: it only goes into a keyed hash, with the time at which the
passage began, so that nobody can tell from two keys that they were the same person on two days.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, PositiveFloat, SecretStr, field_validator

from telemetry.catalogue import MetricName, ZoneName
from telemetry.errors import BadInput
from telemetry.quality import Quality
from telemetry.reading import Reading

KEY_MAX = 100
EARLIEST_MS = 1_577_836_800_000  # 2020-01-01: a clock before it was never set
_PEOPLE_MAX = 10_000
_KEY_HEX = 32  # 128 bits: no two passages of a compound's life meet
_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{0,15})?")
_TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_FAHRENHEIT_FROM = 80.0  # a scanner that names no unit that we know and says 97.7 does not mean Celsius

ScanField = Literal["temperature", "ambient", "abnormal", "mask"]


@dataclass(frozen=True, slots=True)
class Scan:
    """One measurement at a gate. `person` is known to this process alone."""

    device: str  # as the scanner calls itself
    event: str  # what makes two pushes the same event at this device
    person: str | None  # None for a stranger
    time_ms: int
    quality: Quality  # of the time
    temperature_c: float | None = None
    ambient_c: float | None = None
    is_abnormal: bool | None = None  # by the scanner's own threshold
    wears_mask: bool | None = None


_SAMPLES = ("openssl", "changeme", "sitekey", "secret", "example", "gatehouse", "password", "0123456789", "abcdefgh")


class ScanSettings(BaseModel):
    """What every driver of face terminals can be told."""

    site_key: SecretStr = Field(
        min_length=16
    )  # of the hash; one for all drivers of a compound, and never changed lightly
    zone: ZoneName = "Asia/Shanghai"  # of times that come without one
    passage_s: PositiveFloat = 300.0  # a person seen again within it is still in the same passage
    fields: dict[ScanField, MetricName] = {"temperature": "skin_temperature"}

    @field_validator("site_key")
    @classmethod
    def _is_no_sample(cls, key: SecretStr) -> SecretStr:
        """Who knows the key can try every number of a person against the hashes; what stands in a README is known."""
        told = key.get_secret_value()
        plain = "".join(filter(str.isalnum, told.casefold()))
        if "<" in told or any(sample in plain for sample in _SAMPLES) or len(set(plain)) < 8:
            raise ValueError("it is a sample, or can be guessed: put in what 'openssl rand -hex 32' prints")
        return key


class Passages:
    """Keys of passages. A person measured twice within `passage_s` at one device has one."""

    def __init__(self, settings: ScanSettings) -> None:
        self._secret = settings.site_key.get_secret_value().encode()
        self._passage_ms = settings.passage_s * 1000
        self._fields = settings.fields
        self._people: OrderedDict[str, tuple[int, str]] = OrderedDict()  # hash -> begin of the passage, its key

    def readings(self, scan: Scan, device: str) -> tuple[Reading, ...]:
        """A scan as readings of a device of ours, none when nothing was measured."""
        values: Mapping[ScanField, float | bool | None] = {
            "temperature": scan.temperature_c,
            "ambient": scan.ambient_c,
            "abnormal": scan.is_abnormal,
            "mask": scan.wears_mask,
        }
        measured = [(metric, values[field]) for field, metric in self._fields.items()]
        key = self._key(scan, device)
        return tuple(
            Reading(device, metric, scan.time_ms, float(value), scan.quality, key)
            for metric, value in measured
            if value is not None
        )

    def _key(self, scan: Scan, device: str) -> str:
        if scan.person is None:
            return self._hash("event", device, scan.event)
        person = self._hash("person", device, scan.person)
        begun = self._people.get(person)
        if begun is None or abs(scan.time_ms - begun[0]) > self._passage_ms:
            begun = (scan.time_ms, self._hash("passage", device, scan.person, str(scan.time_ms)))
            self._people[person] = begun
            if len(self._people) > _PEOPLE_MAX:
                self._people.popitem(last=False)
        self._people.move_to_end(person)
        return begun[1]

    def _hash(self, *parts: str) -> str:
        words = b"".join(
            len(part.encode("utf-8", "replace")).to_bytes(4, "big") + part.encode("utf-8", "replace") for part in parts
        )
        return hmac.new(self._secret, words, hashlib.sha256).hexdigest()[:_KEY_HEX]


def number(field: str, sent: object) -> float | None:
    """A measured value; None when it was not measured. Raises BadInput for what is no number."""
    if sent is None or (isinstance(sent, str) and not sent.strip()):
        return None
    if isinstance(sent, str) and _NUMBER.fullmatch(sent.strip()):
        value = float(sent)
    elif isinstance(sent, int | float) and not isinstance(sent, bool):
        try:
            value = float(sent)
        except OverflowError:
            value = math.inf
    else:
        raise BadInput("bad-value", f"'{field}' must be a number, not {shown(sent)!r}")
    if not math.isfinite(value):
        raise BadInput("bad-value", f"'{field}' is out of any range")
    return None if value == 0 else value


def temperature_c(field: str, sent: object, unit: object = None) -> float | None:
    """A temperature [degC] from whatever unit the scanner names; None when it was not measured.

    Args:
        unit: "celsius", "fahrenheit" or "kelvin" in any case; with any other or none Fahrenheit is told by its size.
    """
    value = number(field, sent)
    if value is None:
        return None
    scale = str(unit or "").strip().lower()
    if scale.startswith("f") or (not scale.startswith(("c", "k")) and value >= _FAHRENHEIT_FROM):
        return round((value - 32) / 1.8, 3)
    if scale.startswith("k"):
        return round(value - 273.15, 3)
    return value


def truth(sent: object) -> bool | None:
    """True or false however it was written; None for anything else."""
    if isinstance(sent, bool):
        return sent
    return _TRUTHS.get(str(sent).strip().lower())


def time_ms(sent: object, zone: ZoneInfo | None, now_ms: int) -> tuple[int, Quality]:
    """A time as sent, and how far it can be trusted.

    Args:
        sent: ISO 8601, also with "/" or a blank in it, or epoch milliseconds.
        zone: Of a time without one; None when such a time is refused.
        now_ms: The gateway's time, for where there is none.

    Raises BadInput.
    """
    if sent in (None, "", 0):
        return now_ms, Quality.SUSPECT
    if isinstance(sent, int) and not isinstance(sent, bool) and abs(sent) < 2**53:
        return (now_ms, Quality.SUSPECT) if sent < EARLIEST_MS else (sent, Quality.GOOD)
    if not isinstance(sent, str):
        raise BadInput("bad-time", f"'time' must be a text like 2026-11-23T08:00:00.123+08:00, not {shown(sent)!r}")
    try:
        time = datetime.fromisoformat(sent.strip().replace("/", "-"))
    except ValueError:
        return now_ms, Quality.SUSPECT
    if time.year < 2020:
        return now_ms, Quality.SUSPECT
    if time.tzinfo is None:
        if zone is None:
            raise BadInput(
                "time-without-zone",
                f"'time' {shown(sent)!r} has no zone: set the scanner to send one (…+08:00 or …Z), or to send no time",
            )
        time = time.replace(tzinfo=zone)
    try:
        return round(time.timestamp() * 1000), Quality.GOOD
    except OverflowError:
        return now_ms, Quality.SUSPECT


def text(field: str, sent: object) -> str | None:
    """A name or number that identifies something; None when absent."""
    if sent is None or sent == "":
        return None
    if not isinstance(sent, str | int) or isinstance(sent, bool) or not 0 < len(str(sent)) <= KEY_MAX:
        raise BadInput("bad-value", f"'{field}' must be a text of at most {KEY_MAX} characters")
    return str(sent)


def first(*candidates: object) -> object:
    """The first that says anything: firmware spells one field in several ways."""
    for candidate in candidates:
        if candidate is not None and (not isinstance(candidate, str) or candidate.strip()):
            return candidate
    return None


def shown(value: object) -> str:
    """Somebody else's text, short enough and harmless to print."""
    words = str(value)[:60]
    return words if words.isprintable() else "".join(c if c.isprintable() else "?" for c in words)
