"""Codecs of meters: which family of protocols each reads, and what it says of a vector."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from gateway.drivers.cjt188 import codec as cjt188
from gateway.drivers.cjt188.metering import parse_metering
from gateway.drivers.dlt645 import codec as dlt645
from gateway.drivers.dlt645 import items as dlt645_items
from gateway.drivers.dlt698 import codec as dlt698
from gateway.drivers.dlt698.apdu import OBJECTS, Result, measure, parse_response
from gateway.drivers.iec62056 import codec as iec62056
from gateway.drivers.iec62056.registers import OBIS
from gateway.drivers.mbus import codec as mbus
from gateway.drivers.mbus.records import Telegram, parse_telegram, parse_wireless
from gateway.drivers.modbus_rtu import codec as modbus_rtu
from gateway.drivers.modbus_tcp import codec as modbus_tcp
from gateway.framing import FrameReader
from gateway.measured import Measured as Read
from gateway.modbus.pdu import REGISTER_COUNT, decode_value, exception_of, registers_of, request_size, response_size
from telemetry.errors import BadInput
from tests.vectors.vector import ANONYMOUS, Adapter, Facts, Measured, Spellings, Vector

F = TypeVar("F")


def only(reader: FrameReader[F], data: bytes) -> F:
    """The one frame that the bytes are, and no byte besides."""
    frames = reader.feed(data) + reader.flush()
    if len(frames) != 1 or reader.noise_bytes:
        raise BadInput("no-frame", f"{len(frames)} frames and {reader.noise_bytes} bytes of none")
    return frames[0]


@contextlib.contextmanager
def what_is_not_read_is_no_refusal() -> Iterator[None]:
    """A whole frame of a kind whose data the product leaves alone: accepted, and then its quantities are missing."""
    try:
        yield
    except BadInput as error:
        if not error.reason.endswith("-unsupported"):
            raise


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
    if frame.function in (dlt645.Function.READ_NEXT, dlt645.Function.READ_NEXT_1997) and frame.data:
        facts["seq"] = frame.data[-1]
    if frame.function == dlt645.Function.READ_ADDRESS and frame.data:
        facts["reply_address"] = frame.data[::-1].hex()
    if frame.identifier is not None:
        facts["di"] = frame.identifier
        item = dlt645_items.item_of(frame.identifier)
        text = dlt645_items.text_of(frame.identifier, frame.value)
        if text is not None:
            facts["value"] = text
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
        layouts = [read.status_by("standard"), read.status_by("high-bits")]  # the frame does not say which
        facts["valve"] = Spellings(tuple(status.valve for status in layouts))
        if layouts[0].is_battery_low == layouts[1].is_battery_low:
            facts["battery_low"] = layouts[0].is_battery_low
    elif frame.identifier == cjt188.VALVE and frame.value:
        words = {0x55: ("open", "55"), 0x99: ("close", "closed", "99")}
        facts["valve"] = Spellings(words.get(frame.value[0], (frame.value.hex(),)))
    return facts


def of_mbus(vector: Vector) -> Facts:
    frame = only(mbus.acknowledgement_reader(), vector.data)
    if isinstance(frame, mbus.Acknowledgement):
        return {}
    facts: dict[str, object] = {"control": f"{frame.control:02X}", "c": frame.control, "address": frame.address}
    if frame.application == mbus.Application.ERROR:
        return facts | {"ci": "70", "err": frame.data[:1].hex()}
    if frame.is_answer and frame.application is not None:
        facts["ci"] = f"{frame.application:02X}"
        with what_is_not_read_is_no_refusal():
            facts |= of_telegram(parse_telegram(frame.application, frame.data))
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
        suffix = f"_T{record.tariff}_tariff_{record.tariff}" if record.tariff else ""
        suffix += "_reverse_backward_export_production" if record.is_reverse else ""
        suffix += f"_unit{record.subunit}" if record.subunit else ""
        suffix += f"_by_{record.extension.hex()}" if record.extension else ""
        is_number = isinstance(record.value, float) and record.unit
        read = Measured(record.value, record.unit) if is_number and isinstance(record.value, float) else record.value
        facts.setdefault(f"{prefix}{name}{suffix}", read)
    return facts


def of_modbus_rtu(vector: Vector) -> Facts:
    """The one reader that takes all bytes for one frame decides which direction it is; answers first."""
    try:
        frame, is_answer = only(modbus_rtu.answer_reader(), vector.data), True
    except BadInput:
        frame, is_answer = only(modbus_rtu.request_reader(), vector.data), False
    return {"unit": frame.unit} | of_pdu(frame.pdu, is_answer)


def of_modbus_tcp(vector: Vector) -> Facts:
    """The data unit is that of the serial line, behind a header of seven bytes with the length and no sum."""
    transaction, protocol, length, unit = struct.unpack_from(">HHHB", vector.data.ljust(7, b"\0"))
    pdu = vector.data[7:]
    sizes = response_size(pdu, 0), request_size(pdu, 0)
    if protocol or length != len(pdu) + 1 or len(pdu) not in sizes:
        raise BadInput("no-frame", "the lengths contradict each other")
    answers = modbus_tcp.ResponseReader().feed(vector.data)
    return {"unit": unit, "transaction": transaction, "tid": transaction} | of_pdu(pdu, bool(answers))


def of_pdu(pdu: bytes, is_answer: bool) -> dict[str, object]:
    facts: dict[str, object] = {"fc": pdu[0], "function": pdu[0] & 0x7F}
    if exception_of(pdu) is not None:
        return facts | {"exception": exception_of(pdu)}
    if is_answer and pdu[0] in (3, 4):
        return facts | of_registers(registers_of(pdu))
    address, second = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
    facts |= {"address": address, "register": address}
    if pdu[0] in (5, 6):
        return facts | {"value": second, "registers": [second]}
    facts |= {"count": second}
    if pdu[0] == 16 and not is_answer:
        facts |= of_registers(struct.unpack(f">{second}H", pdu[6:]))
    return facts


def of_registers(registers: Sequence[int]) -> dict[str, object]:
    """The registers in every way that a publisher may have meant them."""
    signed = [r - 0x10000 for r in registers if r >= 0x8000]
    pairs = [(registers[i : i + 2], order) for i in range(len(registers) - 1) for order in (False, True)]
    wide = [decode_value(p, type_, order) for p, order in pairs for type_ in ("uint32", "int32", "float32")]
    facts: dict[str, object] = {
        "registers": list(registers),
        "byte_count": 2 * len(registers),
        ANONYMOUS: [*registers, *signed, *(value for value in wide if value is not None)],
    }
    for type_, count in REGISTER_COUNT.items():
        if count == len(registers):
            for order, suffix in (False, "be"), (True, "le"):
                facts[f"{type_}_{suffix}"] = decode_value(registers, type_, order)
            facts[type_] = facts[f"{type_}_be"]
    if len(registers) == 1:
        facts |= {"value": registers[0], "raw": registers[0]}
    return facts


def of_dlt698(vector: Vector) -> Facts:
    frame = only(dlt698.frame_reader(), vector.data)
    facts: dict[str, object] = {
        "control": f"{frame.control:02X}",
        "addr_type": int(frame.sort),
        "server_addr": frame.address,
        "address": frame.address,
        "client": f"{frame.client:02X}",
        "apdu": frame.apdu.hex(),
    }
    if frame.is_answer and frame.apdu[:1] == b"\x85":
        results: tuple[Result, ...] = ()
        with what_is_not_read_is_no_refusal():
            facts["piid"], results = parse_response(frame.apdu)
        if results:
            facts |= {"oad": results[0].oad, "error": results[0].error, "raw": results[0].value}
        for result in results:
            for oad, value in result.objects():
                measured = measure(oad, value)
                if measured:
                    name = OBJECTS[oad[:6]].name.replace(" ", "_")
                    facts.setdefault(name, fact(measured[0]))
                    facts.setdefault("value", fact(measured[0]))
                    facts.setdefault("values", [fact(one) for one in measured])
                    facts.setdefault("first_energy_raw", value[0] if isinstance(value, list) else value)
    return facts


def of_iec62056(vector: Vector) -> Facts:
    if vector.data[:1] in (b"\x06", b"\x15"):
        return {"ack": vector.data[0] == iec62056.ACK}
    heard = only(iec62056.message_reader(), vector.data)
    if isinstance(heard, iec62056.Identification):
        return {"manufacturer": heard.manufacturer, "baud": heard.baud, "id": heard.text, "identification": heard.text}
    facts: dict[str, object] = {"command": heard.command}
    for data_set in heard.data_sets:
        read = data_set.value if data_set.number is None else Measured(data_set.number, data_set.unit)
        facts.setdefault(data_set.address, read)
        facts.setdefault("value", read)
        facts.setdefault("address", data_set.address)
        if data_set.address in OBIS:
            facts.setdefault(OBIS[data_set.address].replace(" ", "_"), read)
    return facts


CLAIMS: Mapping[str, Adapter] = {
    "DL/T 645": of_dlt645,
    "CJ/T 188": of_cjt188,
    "M-Bus": of_mbus,
    "wM-Bus": of_wireless_mbus,
    "Modbus": of_modbus_rtu,
    "Modbus TCP": of_modbus_tcp,
    "DL/T 698": of_dlt698,
    "IEC 62056": of_iec62056,
}
