"""LoRaWAN level sensors as a network server publishes what it hears of them: ChirpStack v4 and v3, The Things Stack v3.

Source: Milesight SensorDecoders, Dragino's decoder repository and the servers' JSON, summed up in reference/devices.md §3.2.
"""

from __future__ import annotations

import base64
import json
import random
import struct
import uuid
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from firmware_sim.devices.quantities import Quantities

Model: TypeAlias = Literal["em310-udl", "em400-mud", "em500-udl", "em500-swl", "ldds75"]
Server: TypeAlias = Literal["chirpstack-v4", "chirpstack-v3", "tts-v3"]

_PORTS: Mapping[Model, int] = {"em310-udl": 85, "em400-mud": 85, "em500-udl": 85, "em500-swl": 85, "ldds75": 2}
_KEEPS: frozenset[Model] = frozenset({"em500-udl", "em500-swl"})  # what the radio did not take, to say it later
_NO_ECHO = 0xFFFD
_HISTORY_MAX = 8  # of one uplink; a payload is short
_KEPT_MAX = 1000
_UNKNOWN = b"\x07\xc8\x12\x34"  # a channel that no decoder knows


def _word(value: float) -> int:
    return min(max(round(value), 0), 0xFFFF)


@dataclass(slots=True)
class LoraSensor:
    """Says payloads and, around them, a server's messages. Measures distance or level [m], battery [%] and temperature [°C].

    `injected` counts what was done wrong.
    """

    eui: str  # sixteen hexadecimal digits, lower case
    model: Model
    quantities: Quantities
    server: Server = "chirpstack-v4"
    application: str = "17c82e96-be03-4f38-aef3-f83d48582d97"
    is_deaf: bool = False  # hears no echo
    is_tilted: bool = False
    has_unknown: bool = False  # a newer firmware says more than its manual
    lost_share: float = 0.0  # uplinks that nobody hears; some models say their values later
    doubled_share: float = 0.0  # uplinks that the server publishes twice, once for each gateway
    starts_again_ms: int | None = None  # a change of battery: frames are counted from 0 again, in the same session
    seed: int = 1

    injected: Counter[str] = field(default_factory=Counter)
    _frame: int = -1
    _kept: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=_KEPT_MAX))
    _rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    @property
    def topic(self) -> str:
        """Where its server publishes it."""
        match self.server:
            case "chirpstack-v4" | "chirpstack-v3":
                return f"application/{self.application}/device/{self.eui}/event/up"
            case "tts-v3":
                return f"v3/site@tenant/devices/eui-{self.eui}/up"

    def messages(self, now_ms: int) -> list[bytes]:
        """What the server publishes of one uplink: nothing when it was lost, the same twice when two gateways heard it."""
        self._frame += 1
        if self.starts_again_ms is not None and now_ms >= self.starts_again_ms:
            self._frame, self.starts_again_ms = 0, None
            self.injected["started-again"] += 1
        if self._rng.random() < self.lost_share:
            self.injected["lost-uplink"] += 1
            if self.model in _KEEPS:
                self._kept.append((now_ms, self._value(now_ms)))
            return []
        kept = [self._kept.popleft() for _ in range(min(len(self._kept), _HISTORY_MAX))]
        payload = self.payload(now_ms) + b"".join(
            b"\x20\xce" + struct.pack("<I", at_ms // 1000) + value for at_ms, value in kept
        )
        self.injected["said-later"] += len(kept)
        messages = [self._message(payload, now_ms, gateway=1)]
        if self._rng.random() < self.doubled_share:
            self.injected["doubled"] += 1
            messages.append(self._message(payload, now_ms, gateway=2))
        return messages

    def payload(self, now_ms: int) -> bytes:
        """What goes over the air."""
        values = self.quantities(now_ms)
        battery = min(100, max(0, round(values.get("battery", 100.0))))
        temperature = struct.pack("<h", round(values.get("temperature", 20.0) * 10))
        if self.model == "ldds75":
            volts = 2.1 + 1.5 * battery / 100  # a cell between empty and full
            distance = 0 if self.is_deaf else _word(values.get("distance", 0.0) * 1000)
            return struct.pack(
                ">HHBhB", round(volts * 1000), distance, 0, round(values.get("temperature", 20.0) * 10), 1
            )
        said = b"\x01\x75" + bytes([battery])
        if self.model == "em500-swl":
            said += b"\x03\x77" + self._value(now_ms)
        elif self.model == "em400-mud":
            said += (
                b"\x03\x67" + temperature + b"\x04\x82" + self._value(now_ms) + b"\x05\x00" + bytes([self.is_tilted])
            )
        else:
            said += b"\x03\x82" + self._value(now_ms)
            said += b"\x04\x00" + bytes([self.is_tilted]) if self.model == "em310-udl" else b""
        return said + (_UNKNOWN if self.has_unknown else b"")

    def _value(self, now_ms: int) -> bytes:
        """The two bytes of what it is there to measure: millimetres, or centimetres of depth."""
        values = self.quantities(now_ms)
        if self.is_deaf:
            raw = _NO_ECHO
        elif self.model == "em500-swl":
            raw = _word(values.get("level", 0.0) * 100)
        else:
            raw = _word(values.get("distance", 0.0) * 1000)
        return struct.pack("<H", raw)

    def _message(self, payload: bytes, now_ms: int, gateway: int) -> bytes:
        time = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")
        data, frame, port = base64.b64encode(payload).decode(), self._frame, _PORTS[self.model]
        signal = {"rssi": self._rng.randrange(-120, -60), "snr": round(self._rng.uniform(-10, 10), 1)}
        body: dict[str, object]
        match self.server:
            case "chirpstack-v4":
                body = {
                    "deduplicationId": str(uuid.UUID(int=self._rng.getrandbits(128))),
                    "time": time,
                    "deviceInfo": {"devEui": self.eui, "applicationId": self.application},
                    "devAddr": self.eui[-8:],
                    "fPort": port,
                    "data": data,
                    "rxInfo": [{"gatewayId": f"{gateway:016}", **signal}],
                }
                # In protobuf's JSON a zero is left out.
                body |= {"fCnt": frame} if frame else {}
            case "chirpstack-v3":
                body = {
                    "devEUI": base64.b64encode(bytes.fromhex(self.eui)).decode(),
                    "fCnt": frame,
                    "fPort": port,
                    "data": data,
                    "rxInfo": [{"gatewayID": f"{gateway:016}", "time": time, **signal}],
                }
            case "tts-v3":
                ids = {"dev_eui": self.eui.upper(), "device_id": f"eui-{self.eui}", "dev_addr": self.eui[-8:].upper()}
                uplink: dict[str, object] = {"f_port": port, "frm_payload": data, "received_at": time}
                uplink |= {"f_cnt": frame} if frame else {}
                uplink["rx_metadata"] = [{"gateway_ids": {"gateway_id": f"gw-{gateway}"}, **signal}]
                body = {"end_device_ids": ids, "received_at": time, "uplink_message": uplink}
        return json.dumps(body).encode()
