"""Codecs of scanners, levels and networks: which family of protocols each reads, and what it says of a vector."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from gateway.drivers.dahua.codec import decode_data as decode_dahua
from gateway.drivers.dahua.codec import decode_event as decode_dahua_event
from gateway.drivers.face_http.wecom import decode_report
from gateway.drivers.face_mqtt.codec import Push
from gateway.drivers.face_mqtt.codec import decode as decode_face
from gateway.drivers.hikvision.codec import Event, decode_event, decode_page, encode_search
from gateway.drivers.level_uart import codec as level_uart
from gateway.drivers.lorawan.decoders import DECODERS, decode_payload
from gateway.drivers.lorawan.uplink import decode_uplink
from gateway.drivers.sdi12 import codec as sdi12
from gateway.drivers.senml.codec import decode_array, decode_pack
from gateway.drivers.sl651 import codec as sl651
from gateway.drivers.zkteco.codec import decode_attlog, decode_rtlog
from gateway.framing import FrameReader
from gateway.hj212.codec import factor_values, packet_reader
from gateway.scan import Scan
from gateway.sparkplug.payload import decode as decode_sparkplug
from gateway.sparkplug.payload import metric_named, signed
from telemetry.errors import BadInput
from tests.vectors.vector import Adapter, Facts, Measured, Spellings, Vector

F = TypeVar("F")
NOW_MS = 1_795_392_000_000
ZONE = ZoneInfo("Asia/Shanghai")


def only(reader: FrameReader[F], data: bytes) -> F:
    """The one frame that the bytes are, and no byte besides."""
    frames = reader.feed(data) + reader.flush()
    if len(frames) != 1 or reader.noise_bytes:
        raise BadInput("no-frame", f"{len(frames)} frames and {reader.noise_bytes} bytes of none")
    return frames[0]


def sent_json(vector: Vector) -> bytes:
    return json.dumps(vector.raw["json"]).encode()


def of_scan(scan: Scan) -> dict[str, object]:
    return {
        "temp": scan.temperature_c,
        "temperature": scan.temperature_c,
        "abnormal": scan.is_abnormal,
        "time": str(datetime.fromtimestamp(scan.time_ms / 1000, ZONE)),
        "mask": scan.wears_mask,
    }


def of_hikvision(vector: Vector) -> Facts:
    if "json" not in vector.raw:
        return of_events(decode_event(vector.data, ZONE, NOW_MS))
    data, sent = sent_json(vector), vector.raw["json"]
    if "AcsEventCond" in sent:
        # A request: what we ask with must be made of the same words.
        ours = json.loads(encode_search("1", 0, "2024-07-03T00:00:00+08:00", "2024-07-04T00:00:00+08:00"))
        if strange := set(ours["AcsEventCond"]) - set(sent["AcsEventCond"]):
            raise BadInput("other-words", f"we ask with {strange}")
        return {}
    if "AcsEvent" in sent:
        page = decode_page(data, ZONE, NOW_MS)
        if page.refused:
            raise page.refused[0]
        return {**of_events(page.event), "more": not page.is_last, "matches": page.match_count}
    return of_events(decode_event(data, ZONE, NOW_MS))


def of_events(event: Event) -> dict[str, Any]:
    facts: dict[str, Any] = {"device": event.device, "mac": event.device, "event": event.type}
    if len(event.scans) == 1:
        facts |= of_scan(event.scans[0]) | {"serial": event.serials[0], "threshold": event.thresholds_c[0]}
    else:
        facts["abnormal"] = [scan.is_abnormal for scan in event.scans]
    facts["temps"] = [scan.temperature_c for scan in event.scans]
    facts["serials"] = list(event.serials)
    return facts


def of_face_terminal(vector: Vector) -> Facts:
    said = decode_face(sent_json(vector), ZONE, NOW_MS)
    facts: dict[str, object] = {"device": said.terminal, "id": said.terminal}
    if isinstance(said, Push):
        record = None if said.record is None else Spellings((said.record,))
        facts |= of_scan(said.scan) | {"record": _whole(said.record) or record, "realtime": said.is_live}
        facts |= {"verify": said.verify}
    else:
        facts["operator"] = said.operator
    return facts


def of_dahua(vector: Vector) -> Facts:
    is_json = "json" in vector.raw
    event = decode_dahua(sent_json(vector), ZONE, NOW_MS) if is_json else decode_dahua_event(vector.data, ZONE, NOW_MS)
    if event.scan is None:
        return {"code": event.code}
    return {**of_scan(event.scan), "error": event.error}


def of_wecom(vector: Vector) -> Facts:
    report = decode_report(sent_json(vector), "1", NOW_MS)
    if report.refused:
        raise report.refused[0]
    (scan,) = report.scans
    return of_scan(scan)


def of_zkteco(vector: Vector) -> Facts:
    decode = decode_rtlog if b"=" in vector.data else decode_attlog
    rows = decode(vector.data, "S", ZONE, NOW_MS)
    if rows.refused:
        raise rows.refused[0]
    if len(rows.rows) != 1:
        return {"temps": [row.scan.temperature_c for row in rows.rows], "count": rows.count}
    (row,) = rows.rows
    # What stands on the wire, and what is made of it: a temperature of 0 is none.
    wire: dict[str, object] = {name: _as_sent(value) for name, value in row.fields.items()}
    return {**of_scan(row.scan), **wire, "pin": row.fields.get("pin")}


def of_uart(vector: Vector) -> Facts:
    if vector.data[:1] == b"\x55":
        frame = only(level_uart.urm_reader(), vector.data)
        facts: dict[str, object] = {"addr": frame.address, "cmd": frame.command}
        if frame.distance_mm is not None:
            facts["distance"] = Measured(frame.distance_mm, "mm")
        return facts
    distance = only(level_uart.auto_reader(), vector.data)
    if distance.distance_mm is None:
        words = {
            level_uart.Fault.INTERFERENCE: "co-channel interference",
            level_uart.Fault.NOTHING_THERE: "no object",
        }
        assert distance.fault is not None
        said = Spellings((f"0x{distance.fault:04X}", words[distance.fault]))
        return {"distance_mm": None, "fault": said, "error": said}
    return {"distance": Measured(distance.distance_mm, "mm")}


def of_sdi12(vector: Vector) -> Facts:
    """`command -> answer`, the line end written out."""
    command, arrow, answer = vector.raw["text"].partition("->")
    if not arrow:
        command, answer = "0D0!", command
    command, line = command.strip(), re.sub(r"(\\r|\\n|\r|\n)+$", "", answer.strip())
    (line,) = sdi12.line_reader().feed(line.encode() + b"\r\n")
    match = re.fullmatch(r"(.)(\w*)!", command)
    verb = match[2] if match else ""
    if verb == "I":
        identity = sdi12.decode_identity(line)
        # The vendor is left out: texts copied from a page have lost the blanks that fill its eight characters.
        return {"address": identity.address, "version": identity.version}
    if re.fullmatch(r"(M|C|CC|MC|V)\d?", verb):
        found = sdi12.decode_announcement(line)
        ready = Measured(found.ready_s, "s")
        return {"address": found.address, "ready_s": ready, "values": found.value_count, "count": found.value_count}
    if re.fullmatch(r"[DR]C?\d", verb):
        values = sdi12.decode_values(line)
        return {"address": values.address, "values": list(values.values), "crc": values.checksum}
    return {"address": sdi12.decode_acknowledgement(line)}


LORAWAN = {  # model, as the vectors write it: decoder
    "EM500-UDL": "milesight-em500-udl",
    "EM310-UDL": "milesight-em310-udl",
    "EM400-MUD": "milesight-em400-mud",
    "EM500-SWL": "milesight-em500-swl",
    "LDDS": "dragino-ldds75",
    "DDS20": "dragino-ldds75",
}


def of_lorawan(vector: Vector) -> Facts:
    decoder = next((name for model, name in LORAWAN.items() if model in vector.protocol), None)
    if decoder is None:
        raise BadInput("no-decoder", f"no decoder for {vector.protocol}")
    payload = decode_payload(DECODERS[decoder], vector.raw.get("fPort", 85), vector.data)
    if payload.rest or not payload.measured:
        raise BadInput("unread", f"{payload.rest.hex()} was not read")
    facts: dict[str, object] = {}
    units = {"pct": "%", "v": "V", "mm": "mm", "cm": "cm", "c": "C"}
    for name, value in payload.measured[0].values.items():
        stem, _, unit = name.rpartition("_")
        facts[name if unit not in units else stem] = (
            Measured(value, units[unit]) if value is not None and unit in units else value
        )
        if value is None:
            facts[name] = None
    kept = [measured for measured in payload.measured if measured.time_ms is not None]
    if kept:
        facts["timestamp"] = (kept[0].time_ms or 0) // 1000
        facts["history"] = [
            {"timestamp": (m.time_ms or 0) // 1000, **dict(m.values), "distance": next(iter(m.values.values()))}
            for m in kept
        ]
    if "tilted" in facts:
        facts["position"] = "tilt" if facts["tilted"] else "normal"
    if "temperature" in facts:
        facts["ds18b20_C"] = facts["temperature"]
    return facts


def of_uplink(vector: Vector) -> Facts:
    uplink = decode_uplink(sent_json(vector), NOW_MS)
    return {
        "devEui": uplink.eui,
        "fPort": uplink.port,
        "fCnt": uplink.frame,
        "payload_hex": uplink.payload.hex(),
        "time": str(datetime.fromtimestamp(uplink.time_ms / 1000, ZoneInfo("UTC"))),
    }


ELEMENTS = {  # code: names and unit
    "1A": (("precip_1h", "rain_1h"), "mm"),
    "1F": (("precip_day", "rain_day"), "mm"),
    "20": (("precip", "rain", "rain_now"), "mm"),
    "22": (("precip_5min", "rain_5min"), "mm"),
    "26": (("precip_total", "rain_total"), "mm"),
    "39": (("water_level", "level"), "m"),
    "3A": (("water_level_down",), "m"),
    "3B": (("water_level_up",), "m"),
    "27": (("flow", "flow_m3s", "flow_m3_s"), "m3/s"),
    "37": (("velocity", "velocity_mps", "velocity_m_s", "velocity_ms"), "m/s"),
    "38": (("supply", "battery", "voltage"), "V"),
}


def of_sl651(vector: Vector) -> Facts:
    frame = only(sl651.frame_reader(), vector.data)
    stamp = sl651.decode_stamp(frame.body)
    facts: dict[str, object] = {
        "fc": f"{frame.function:02X}",
        "direction": "up" if frame.is_up else "down",
        "body_len": len(frame.body),
        "center": frame.centre,
        "centre": frame.centre,
        "station": frame.station,
        "password": frame.password,
        "serial": stamp.serial,
        "time": str(stamp.sent),
        "end": f"{frame.end:02X}",
    }
    if frame.is_up and frame.function != sl651.Function.KEEP_ALIVE:
        report = sl651.decode_report(frame)
        status = (
            None
            if report.status is None
            else Spellings((f"0x{report.status:X}", f"{report.status:08X}", str(report.status)))
        )
        facts |= {"observed": str(report.observed), "status": status, "class": f"{report.station_class or 0:02X}"}
        series: dict[str, list[float | None]] = {}
        for element in report.elements:
            series.setdefault(element.code, []).append(element.value)
        for code, values in series.items():
            if len(values) > 1:
                facts |= dict.fromkeys((f"element_{code}", f"{code}", *ELEMENTS.get(code, ((), ""))[0]), values)
        for element in [element for element in report.elements if len(series[element.code]) == 1]:
            names, unit = ELEMENTS.get(element.code, ((f"element_{element.code}",), ""))
            for name in names:
                facts[name] = None if element.value is None else Measured(element.value, unit)
                facts[f"{name}_{unit}"] = element.value
    return facts


def of_hj212(vector: Vector) -> Facts:
    packet = only(packet_reader(), vector.data)
    facts: dict[str, object] = {
        "length": int(vector.data[2:6]),
        "actual_length": len(vector.data.rstrip(b"\r\n")) - 10,
        "crc": vector.data.rstrip(b"\r\n")[-4:].decode(),
        "cn": packet.command,
        "st": packet.system,
        "mn": packet.station,
        "pw": packet.password,
        "qn": packet.number,
        "flag": packet.flag,
    }
    for value in factor_values(packet):
        facts[f"{value.factor}-{value.aspect}"] = value.value
    return facts


def of_sparkplug(vector: Vector) -> Facts:
    payload = decode_sparkplug(vector.data)
    facts: dict[str, object] = {"seq": payload.seq, "ts": payload.time_ms, "timestamp": payload.time_ms}
    bd_seq = metric_named(payload.metrics, "bdSeq")
    if bd_seq is not None:
        facts["bdSeq"] = bd_seq.value
    named = [(m.name or f"alias {m.alias}", signed(m.value, m.datatype)) for m in payload.metrics]
    if vector.decoded.get("metrics") is not None:
        facts["metrics"] = [f"{name}={_word(value)}" for name, value in named]
    if len(named) == 1:
        facts["metric"] = f"{named[0][0]} = {_word(named[0][1])}"
        only_one = payload.metrics[0]
        facts |= {"value": named[0][1], "alias": only_one.alias, "name": only_one.name, "datatype": only_one.datatype}
        facts |= {"is_historical": only_one.is_historical, "is_null": only_one.is_null, "metric_ts": only_one.time_ms}
    return facts


def of_host_state(vector: Vector) -> Facts:
    state = vector.raw["json"]
    if not isinstance(state.get("online"), bool) or not isinstance(state.get("timestamp"), int):
        raise BadInput("bad-state", "a host's state holds online and timestamp")
    return dict(state)


def of_senml(vector: Vector) -> Facts:
    data = sent_json(vector) if "json" in vector.raw else vector.data
    pack = decode_pack(data, NOW_MS / 1000)
    if pack.refused:
        raise pack.refused[0]
    published = vector.decoded.get("records", [])
    records: list[Mapping[str, object]] = []
    for at, record in enumerate(pack.records):
        # The published records have their base fields still; ours are resolved.
        base = published[at] if at < len(published) else {}
        found: dict[str, object] = {"u": record.unit, "v": record.value, "vs": record.text, "s": record.total}
        name, time_s = record.name, record.time_s
        for key in ("bn", "bt", "bu", "bver"):
            if key in base:
                found[key] = {
                    "bn": name.removesuffix(base.get("n", "")),
                    "bt": time_s,
                    "bu": base["bu"] if key == "bu" else None,
                }.get(key, base[key])
        found["n"] = name.removeprefix(base.get("bn", ""))
        found["t"] = time_s
        records.append(found)
    return {"records": records}


def of_array(vector: Vector) -> Facts:
    tag, values = decode_array(vector.data)
    return {"tag": tag, "values": values}


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def _as_sent(text: str) -> object:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _word(value: object) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else f"{value}"


CLAIMS: Mapping[str, Adapter] = {
    "Hikvision ISAPI": of_hikvision,
    "EZVIZ/YS7": of_hikvision,
    "Face terminal": of_face_terminal,
    "Dahua": of_dahua,
    "WeCom openhw": of_wecom,
    "ZKTeco PUSH": of_zkteco,
    "DFRobot": of_uart,
    "SDI-12": of_sdi12,
    "LoRaWAN": of_lorawan,
    "ChirpStack": of_uplink,
    "TTS": of_uplink,
    "The Things Stack": of_uplink,
    "SL 651": of_sl651,
    "HJ 212": of_hj212,
    "Sparkplug B": of_sparkplug,
    "Sparkplug STATE": of_host_state,
    "SenML": of_senml,
    "CBOR RFC 8746": of_array,
}
