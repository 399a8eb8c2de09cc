"""Every protocol a gateway speaks. Adding one is a folder beside these and a line in `DRIVERS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gateway.driver import Driver, DriverSettings
from gateway.drivers.cjt188.driver import make_cjt188
from gateway.drivers.cjt188.settings import Cjt188Settings
from gateway.drivers.dahua.driver import DahuaDriver
from gateway.drivers.dahua.settings import DahuaSettings
from gateway.drivers.dlt645.driver import make_dlt645
from gateway.drivers.dlt645.settings import Dlt645Settings
from gateway.drivers.dlt698.driver import make_dlt698
from gateway.drivers.dlt698.settings import Dlt698Settings
from gateway.drivers.face_http.driver import FaceHttpDriver
from gateway.drivers.face_http.settings import FaceHttpSettings
from gateway.drivers.face_mqtt.driver import FaceMqttDriver
from gateway.drivers.face_mqtt.settings import FaceMqttSettings
from gateway.drivers.hikvision.driver import HikvisionDriver
from gateway.drivers.hikvision.settings import HikvisionSettings
from gateway.drivers.hikvision_listen.driver import HikvisionListenDriver
from gateway.drivers.hikvision_listen.settings import HikvisionListenSettings
from gateway.drivers.hj212.driver import Hj212Driver
from gateway.drivers.hj212.settings import Hj212Settings
from gateway.drivers.http_push.driver import HttpPushDriver
from gateway.drivers.http_push.settings import HttpPushSettings
from gateway.drivers.iec62056.driver import make_iec62056
from gateway.drivers.iec62056.settings import Iec62056Settings
from gateway.drivers.level_uart.driver import LevelUartDriver
from gateway.drivers.level_uart.settings import LevelUartSettings
from gateway.drivers.lorawan.driver import LorawanDriver
from gateway.drivers.lorawan.settings import LorawanSettings
from gateway.drivers.mbus.driver import make_mbus
from gateway.drivers.mbus.settings import MbusSettings
from gateway.drivers.modbus_rtu.driver import make_modbus_rtu
from gateway.drivers.modbus_rtu.settings import ModbusRtuSettings
from gateway.drivers.modbus_tcp.driver import ModbusTcpDriver
from gateway.drivers.modbus_tcp.settings import ModbusTcpSettings
from gateway.drivers.sdi12.driver import Sdi12Driver
from gateway.drivers.sdi12.settings import Sdi12Settings
from gateway.drivers.senml.driver import SenmlDriver
from gateway.drivers.senml.settings import SenmlSettings
from gateway.drivers.sl651.driver import Sl651Driver
from gateway.drivers.sl651.settings import Sl651Settings
from gateway.drivers.sparkplug.driver import SparkplugDriver
from gateway.drivers.sparkplug.settings import SparkplugSettings
from gateway.drivers.zkteco.driver import ZktecoDriver
from gateway.drivers.zkteco.settings import ZktecoSettings
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
    "face-mqtt": DriverKind(FaceMqttSettings, FaceMqttDriver),
    "face-http": DriverKind(FaceHttpSettings, FaceHttpDriver),
    "hikvision": DriverKind(HikvisionSettings, HikvisionDriver),
    "hikvision-listen": DriverKind(HikvisionListenSettings, HikvisionListenDriver),
    "dahua": DriverKind(DahuaSettings, DahuaDriver),
    "zkteco": DriverKind(ZktecoSettings, ZktecoDriver),
    "level-uart": DriverKind(LevelUartSettings, LevelUartDriver),
    "sdi12": DriverKind(Sdi12Settings, Sdi12Driver),
    "sl651": DriverKind(Sl651Settings, Sl651Driver),
    "lorawan": DriverKind(LorawanSettings, LorawanDriver),
    "hj212": DriverKind(Hj212Settings, Hj212Driver),
    "senml": DriverKind(SenmlSettings, SenmlDriver),
    "sparkplug": DriverKind(SparkplugSettings, SparkplugDriver),
}
