"""Codecs of meters: which family of protocols each reads, and what it says of a vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from gateway.drivers.cjt188 import codec as cjt188
from gateway.drivers.cjt188.metering import parse_metering
from gateway.drivers.dlt645 import codec as dlt645
from gateway.drivers.dlt645 import items as dlt645_items
from gateway.drivers.mbus import codec as mbus
from gateway.drivers.mbus.records import Telegram, parse_telegram, parse_wireless
from gateway.framing import FrameReader
from gateway.measured import Measured as Read
from telemetry.errors import BadInput
from tests.vectors.vector import Adapter, Facts, Measured, Spellings, Vector

F = TypeVar("F")


def only(reader: FrameReader[F], data: bytes) -> F:
    """The one frame that the bytes are, and no byte besides."""
    frames = reader.feed(data) + reader.flush()
    if len(frames) != 1 or reader.noise_bytes:
        raise BadInput("no-frame", f"{len(frames)} frames and {reader.noise_bytes} bytes of none")
    return frames[0]


def fact(read: Read) -> Measured | None:
    return None if read.value is None else Measured(read.value, read.unit)


def of_dlt645(vector: Vector) -> Facts:
    frame = only(dlt645.frame_reader(), vector.data)
    facts: dict[str, object] = {
        "address": frame.address,
        "control": f"{frame.control:02X}",
        "length": len(frame.data),
        "data_minus33_wire_order": frame.data.hex(),
    }
    if frame.is_refusal:
        facts["err"] = frame.data.hex()
    if frame.function == dlt645.Function.READ_ADDRESS and frame.data:
        facts["reply_address"] = frame.data[::-1].hex()
    if frame.identifier is not None:
        facts["di"] = frame.identifier
        item = dlt645_items.item_of(frame.identifier)
        facts["value"] = dlt645_items.number_of(frame.identifier, frame.value)
        if item is not None and frame.is_answer:
            facts["values"] = [fact(value) for value in dlt645_items.values(item, frame.value)]
            facts["value"] = facts["values"][0]  # type: ignore[index]
    return facts


def of_cjt188(vector: Vector) -> Facts:
    frame = only(cjt188.frame_reader(), vector.data)
    facts: dict[str, object] = {
        "type": f"{frame.sort:02X}",
        "address": frame.address,
        "vendor": frame.vendor,
        "meter_no": frame.meter_number,
        "control": f"{frame.control:02X}",
        "length": len(frame.data),
        "data": frame.data.hex(),
        "di": frame.identifier,
        "di_order": frame.data[:2].hex(" "),
        "ser": frame.serial,
    }
    if frame.is_refusal:
        facts["st"] = frame.value.hex()
    if frame.is_answer and frame.identifier == cjt188.METERING:
        read = parse_metering(frame.sort, frame.value)
        facts |= {name: fact(quantity) for name, quantity in read.quantities.items()}
        facts |= {"unit": next(iter(read.quantities.values())).unit, "rtc": read.clock, "st": read.status.hex()}
        status = read.status_by("standard")
        facts |= {"valve": status.valve, "battery_low": status.is_battery_low}
    elif frame.identifier == cjt188.VALVE and frame.value:
        facts["valve"] = {0x55: "open", 0x99: "close"}.get(frame.value[0], frame.value.hex())
    return facts


def of_mbus(vector: Vector) -> Facts:
    frame = only(mbus.acknowledgement_reader(), vector.data)
    if isinstance(frame, mbus.Acknowledgement):
        return {}
    facts: dict[str, object] = {"control": f"{frame.control:02X}", "c": frame.control, "address": frame.address}
    if frame.application == mbus.Application.ERROR:
        return facts | {"ci": "70", "err": frame.data[:1].hex()}
    if frame.is_answer and frame.application is not None:
        facts |= {"ci": f"{frame.application:02X}"} | of_telegram(parse_telegram(frame.application, frame.data))
    return facts


def of_wireless_mbus(vector: Vector) -> Facts:
    return of_telegram(parse_wireless(vector.data))


def of_telegram(telegram: Telegram) -> dict[str, object]:
    facts: dict[str, object] = {"access": telegram.access, "status": telegram.status}
    if telegram.identity is not None:
        medium, words = telegram.identity.medium, telegram.identity.medium_words
        facts |= {
            "id": telegram.identity.number,
            "manufacturer": telegram.identity.manufacturer,
            "version": telegram.identity.version,
            "medium": Spellings((f"{medium:02x}", words)),
        }
    for record in telegram.records:
        name = record.quantity.replace(" ", "_")
        prefix = {1: "max_", 2: "min_"}.get(record.kind.value, "") + ("settlement_" if record.storage else "")
        suffix = f"_T{record.tariff}" if record.tariff else ""
        suffix += "_reverse_backward_export_production" if record.is_reverse else ""
        suffix += f"_unit{record.subunit}" if record.subunit else ""
        suffix += f"_by_{record.extension.hex()}" if record.extension else ""
        is_number = isinstance(record.value, float) and record.unit
        read = Measured(record.value, record.unit) if is_number and isinstance(record.value, float) else record.value
        facts.setdefault(f"{prefix}{name}{suffix}", read)
    return facts


CLAIMS: Mapping[str, Adapter] = {
    "DL/T 645": of_dlt645,
    "CJ/T 188": of_cjt188,
    "M-Bus": of_mbus,
    "wM-Bus": of_wireless_mbus,
}
