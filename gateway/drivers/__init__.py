"""Every protocol a gateway speaks. Adding one is a folder beside these and a line in `DRIVERS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gateway.driver import Driver, DriverSettings
from gateway.drivers.cjt188.driver import make_cjt188
from gateway.drivers.cjt188.settings import Cjt188Settings
from gateway.drivers.dlt645.driver import make_dlt645
from gateway.drivers.dlt645.settings import Dlt645Settings
from gateway.drivers.dlt698.driver import make_dlt698
from gateway.drivers.dlt698.settings import Dlt698Settings
from gateway.drivers.http_push.driver import HttpPushDriver
from gateway.drivers.http_push.settings import HttpPushSettings
from gateway.drivers.iec62056.driver import make_iec62056
from gateway.drivers.iec62056.settings import Iec62056Settings
from gateway.drivers.mbus.driver import make_mbus
from gateway.drivers.mbus.settings import MbusSettings
from gateway.drivers.modbus_rtu.driver import make_modbus_rtu
from gateway.drivers.modbus_rtu.settings import ModbusRtuSettings
from gateway.drivers.modbus_tcp.driver import ModbusTcpDriver
from gateway.drivers.modbus_tcp.settings import ModbusTcpSettings
from gateway.events import Events
from telemetry.clock import Clock

S = TypeVar("S", bound=DriverSettings)


@dataclass(frozen=True, slots=True)
class DriverKind(Generic[S]):
    """How an entry under `drivers:` is checked, and what runs it."""

    settings: type[S]
    make: Callable[[S, Clock, Events], Driver]


DRIVERS: Mapping[str, DriverKind[Any]] = {
    "modbus-tcp": DriverKind(ModbusTcpSettings, ModbusTcpDriver),
    "modbus-rtu": DriverKind(ModbusRtuSettings, make_modbus_rtu),
    "dlt645": DriverKind(Dlt645Settings, make_dlt645),
    "dlt698": DriverKind(Dlt698Settings, make_dlt698),
    "iec62056": DriverKind(Iec62056Settings, make_iec62056),
    "cjt188": DriverKind(Cjt188Settings, make_cjt188),
    "mbus": DriverKind(MbusSettings, make_mbus),
    "http-push": DriverKind(HttpPushSettings, HttpPushDriver),
}
