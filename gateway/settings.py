"""Everything a gateway can be told: one YAML file, and the environment for what differs from box to box.

GATEWAY__BROKER__HOST=broker.site replaces `broker: {host: …}`, and so for every single value outside `drivers` and `exports`.
A variable that starts with GATEWAY__ and names no setting refuses to start: a misspelt password must not become none.
"""

from __future__ import annotations

import copy
import os
import types
import typing
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from gateway.derived import RateSettings
from gateway.driver import DriverSettings
from gateway.drivers import DRIVERS
from gateway.export import ExportSettings
from gateway.exports import EXPORTS
from gateway.local_page.settings import LocalPageSettings
from telemetry.catalogue import MetricName, Name
from telemetry.declaration import Document, Mistake, Mistakes, Path_, read_document, validate
from telemetry.errors import BadConfiguration
from telemetry.settings import BrokerSettings, HostName

ENV_PREFIX = "GATEWAY__"
_SEPARATOR = "__"

Series = tuple[str, str]  # device, metric


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SpoolSettings(_Section):
    """Where readings wait, and how they get there."""

    path: Path = Path("spool")  # a folder, relative to the configuration file
    size_max_mb: PositiveInt = 2000
    gather_ms: PositiveInt = Field(default=50, le=200)  # how long readings gather before they are written together
    queue_readings_max: PositiveInt = 20_000  # in memory, while the disk refuses; then drivers block


class UplinkSettings(_Section):
    """How frames go to the core."""

    window_frames: PositiveInt = Field(default=32, le=1000)
    window_kb: PositiveInt = 1000
    resend_after_s: PositiveFloat = 5.0
    resend_max_s: PositiveFloat = 30.0
    stalled_after_s: PositiveFloat = 60.0  # a broker that takes nothing for so long is left
    status_every_s: PositiveFloat = 5.0
    live_first_after_s: PositiveFloat = 60.0  # what has waited longer goes out behind what is new


class CoilSettings(_Section):
    """A coil of a Modbus TCP unit."""

    host: HostName
    port: int = Field(default=502, ge=1, le=65535)
    unit: int = Field(default=1, ge=0, le=255)
    coil: int = Field(ge=0, le=0xFFFF)  # as on the wire, from 0


class OutputSettings(_Section):
    """A lamp or relay: a file that holds its state, or a coil."""

    file: Path | None = None  # relative to the configuration file
    on: str = "1"
    off: str = "0"
    modbus: CoilSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _words_that_yaml_takes_for_truths(cls, data: Any) -> Any:
        """In YAML 1.1 an unquoted `on` or `off` is true or false, as a key too, and 1 is no text."""
        if not isinstance(data, dict):
            return data
        named = {{True: "on", False: "off"}.get(key, key) if isinstance(key, bool) else key: data[key] for key in data}
        return {k: str(v) if k in ("on", "off") and type(v) is int else v for k, v in named.items()}

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.file is None) == (self.modbus is None):
            raise ValueError("give either 'file' or 'modbus'")
        return self


class LocalAlarmSettings(_Section):
    """One level of a rule of the core, judged here too."""

    rule: Name
    device: Name
    metric: MetricName
    at_least: FiniteFloat | None = None
    at_most: FiniteFloat | None = None
    clear: FiniteFloat | None = None  # over strictly past it; the limit itself when not given
    for_s: NonNegativeFloat = 0.0
    per_passage: bool = False
    passage_s: PositiveFloat = 300.0  # how long a passage's alarm stays open here without a second measurement
    output: str

    @property
    def limit(self) -> float:
        limit = self.at_most if self.at_least is None else self.at_least
        assert limit is not None
        return limit

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give either 'at_least' or 'at_most'")
        if self.clear is not None and self.at_least is not None and self.clear > self.at_least:
            raise ValueError("'clear' must not lie above 'at_least'")
        if self.clear is not None and self.at_most is not None and self.clear < self.at_most:
            raise ValueError("'clear' must not lie below 'at_most'")
        if self.per_passage and (self.clear is not None or self.for_s):
            raise ValueError("a passage is judged alone: 'clear' and 'for_s' say nothing with 'per_passage'")
        return self


class GatewaySettings(_Section):
    """A gateway's configuration file."""

    site: Name
    gateway: Name
    broker: BrokerSettings = BrokerSettings()
    spool: SpoolSettings = SpoolSettings()
    uplink: UplinkSettings = UplinkSettings()
    drain_on_stop_s: NonNegativeFloat = 0.0  # how long a stop may wait for the core to take what is spooled
    drivers: tuple[DriverSettings, ...] = ()
    rates: tuple[RateSettings, ...] = ()
    exports: tuple[ExportSettings, ...] = ()
    outputs: dict[str, OutputSettings] = {}
    local_alarms: tuple[LocalAlarmSettings, ...] = ()
    local_page: LocalPageSettings | None = None


def load_settings(file: Path, environment: Mapping[str, str] = os.environ) -> GatewaySettings:
    """Read and check a gateway's file and environment.

    Raises BadConfiguration: everything that is wrong, each by file, line and field or by the variable's name.
    """
    document = read_document(file)
    data = copy.deepcopy(document.data) if isinstance(document.data, dict) else document.data
    mistakes: list[Mistake] = []
    drivers: list[DriverSettings] = []
    exports: list[ExportSettings] = []
    if isinstance(data, dict):
        drivers, mistakes = _drivers(document, data.pop("drivers", None))
        exports, export_mistakes = _exports(document, data.pop("exports", None))
        mistakes += export_mistakes
    variables = _overlay(data, environment) if isinstance(data, dict) else {}
    settings = None
    try:
        settings = validate(Document(document.file, data, document.root), GatewaySettings)
    except Mistakes as error:
        mistakes = [_blamed(mistake, variables) for mistake in error.mistakes] + mistakes
    if settings is not None and not mistakes:
        read = {series for driver in drivers for series in driver.series()}
        mistakes = _local_mistakes(document, settings, read)
        read |= {(rate.device, rate.metric) for rate in settings.rates}
        mistakes += _export_mistakes(document, exports, read)
        mistakes += _claim_mistakes(document, settings, drivers, exports)
    if mistakes or settings is None:
        raise Mistakes(mistakes)
    outputs = {
        name: output if output.file is None else output.model_copy(update={"file": file.parent / output.file})
        for name, output in settings.outputs.items()
    }
    spool = settings.spool.model_copy(update={"path": file.parent / settings.spool.path})
    placed = tuple(driver.placed(file.parent) for driver in drivers)
    return settings.model_copy(
        update={
            "broker": settings.broker.placed(file.parent),
            "spool": spool,
            "drivers": placed,
            "exports": tuple(export.placed(file.parent) for export in exports),
            "outputs": outputs,
            "local_page": None if settings.local_page is None else settings.local_page.placed(file.parent),
        }
    )


def _unread(document: Document, where: Path_, device: str, metric: str, field: str, read: Set[Series]) -> list[Mistake]:
    """What is wrong with a series that an entry names."""
    metrics = sorted(known for name, known in read if name == device)
    if not metrics:
        return [document.mistake((*where, "device"), f"no driver of this gateway reads '{device}'")]
    if metric in metrics:
        return []
    return [document.mistake((*where, field), f"of '{device}' no '{metric}' is read; there are: {', '.join(metrics)}")]


def _local_mistakes(document: Document, settings: GatewaySettings, read: Set[Series]) -> list[Mistake]:
    """What the local alarms and rates name and nobody declares."""
    mistakes: list[Mistake] = []
    with_rates = read | {(rate.device, rate.metric) for rate in settings.rates}
    for number, entry in enumerate(settings.local_alarms):
        where = ("local_alarms", number)
        if entry.output not in settings.outputs:
            mistakes.append(
                document.mistake((*where, "output"), f"there is no output '{entry.output}' under 'outputs'")
            )
        mistakes += _unread(document, where, entry.device, entry.metric, "metric", with_rates)
        if entry in settings.local_alarms[:number]:
            mistakes.append(document.mistake(where, "stands twice; keep one"))
    for number, rate in enumerate(settings.rates):
        mistakes += _unread(document, ("rates", number), rate.device, rate.counter, "counter", read)
    return mistakes


def _drivers(document: Document, entries: object) -> tuple[list[DriverSettings], list[Mistake]]:
    """Each entry checked by the settings of its own driver; lines and fields as in the file."""
    if entries is None:
        return [], []
    if not isinstance(entries, list):
        return [], [document.mistake(("drivers",), "must be a list, one entry a driver")]
    drivers: list[DriverSettings] = []
    mistakes: list[Mistake] = []
    taken: dict[str, str] = {}
    for number, entry in enumerate(entries):
        where = ("drivers", number)
        name = entry.get("driver") if isinstance(entry, dict) else None
        if not isinstance(name, str) or name not in DRIVERS:
            known = ", ".join(DRIVERS)
            mistakes.append(document.mistake((*where, "driver"), f"must name a driver: {known} (found {name!r})"))
            continue
        part = Document(document.file, entry, _node(document, where))
        try:
            driver: DriverSettings = validate(part, DRIVERS[name].settings)
        except Mistakes as error:
            for found in error.mistakes:
                field = f"drivers[{number}].{found.field}" if found.field else f"drivers[{number}]"
                mistakes.append(Mistake(found.file, found.line, field, found.message))
            continue
        if driver.name in {other.name for other in drivers}:
            mistakes.append(document.mistake(where, f"stands twice: put all devices of {driver.name} into one entry"))
        line = driver.line_name()
        sharer = next((other.name for other in drivers if line is not None and other.line_name() == line), None)
        if sharer is not None:
            mistakes.append(
                document.mistake((*where, "line"), f"'{line}' is used by {sharer}; give each a line of its own")
            )
        drivers.append(driver)
        for device in driver.device_names():
            if device in taken:
                mistakes.append(document.mistake(where, f"device '{device}' is read by {taken[device]} already"))
            taken[device] = driver.name
    return drivers, mistakes


def _exports(document: Document, entries: object) -> tuple[list[ExportSettings], list[Mistake]]:
    """Each entry checked by the settings of its own export; lines and fields as in the file."""
    if entries is None:
        return [], []
    if not isinstance(entries, list):
        return [], [document.mistake(("exports",), "must be a list, one entry an export")]
    exports: list[ExportSettings] = []
    mistakes: list[Mistake] = []
    for number, entry in enumerate(entries):
        where = ("exports", number)
        name = entry.get("export") if isinstance(entry, dict) else None
        if not isinstance(name, str) or name not in EXPORTS:
            known = ", ".join(EXPORTS)
            mistakes.append(document.mistake((*where, "export"), f"must name an export: {known} (found {name!r})"))
            continue
        try:
            exports.append(validate(Document(document.file, entry, _node(document, where)), EXPORTS[name].settings))
        except Mistakes as error:
            for found in error.mistakes:
                field = f"exports[{number}].{found.field}" if found.field else f"exports[{number}]"
                mistakes.append(Mistake(found.file, found.line, field, found.message))
    return exports, mistakes


def _export_mistakes(document: Document, exports: Sequence[ExportSettings], read: Set[Series]) -> list[Mistake]:
    """What exports tell of and nobody reads, and exports that stand twice."""
    mistakes: list[Mistake] = []
    for number, export in enumerate(exports):
        where = ("exports", number)
        if export.name in {other.name for other in exports[:number]}:
            mistakes.append(document.mistake(where, f"stands twice: put all series of {export.name} into one entry"))
        for at, told in enumerate(export.told()):
            series = (*where, "series", at)
            mistakes += _unread(document, series, told.device, told.metric, "metric", read)
    return mistakes


def _claim_mistakes(
    document: Document, settings: GatewaySettings, drivers: Sequence[DriverSettings], exports: Sequence[ExportSettings]
) -> list[Mistake]:
    """What two entries need, each for itself."""
    mistakes: list[Mistake] = []
    taken = {("client_id", settings.broker.known_as(settings.gateway)): "the gateway itself"}
    sections: tuple[tuple[str, Sequence[DriverSettings | ExportSettings]], ...] = (
        ("drivers", drivers),
        ("exports", exports),
    )
    for section, entries in sections:
        for number, entry in enumerate(entries):
            for field, what in entry.claims():
                by = taken.setdefault((field, what), entry.name)
                if by != entry.name:
                    said = f"'{what}' is used by {by}; give each its own"
                    mistakes.append(document.mistake((section, number, field), said))
    return mistakes


def _node(document: Document, where: tuple[str, int]) -> Any:
    """The YAML node of one entry of a list at the top."""
    assert document.root is not None
    section = next(value for key, value in document.root.value if key.value == where[0])
    return section.value[where[1]]


def _overlay(data: dict[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """Write the environment's values into `data`; return which variable each field came from."""
    known = _scalars(GatewaySettings)
    variables: dict[str, str] = {}
    for variable in sorted(environment):
        if not variable.upper().startswith(ENV_PREFIX):
            continue
        path = tuple(variable[len(ENV_PREFIX) :].lower().split(_SEPARATOR))
        if path not in known:
            names = ", ".join(ENV_PREFIX + _SEPARATOR.join(names).upper() for names in known)
            raise BadConfiguration(f"{variable} is no setting of a gateway; unset it, or mend its spelling: {names}")
        section = data
        for step in path[:-1]:
            if not isinstance(section.get(step), dict):
                section[step] = {}
            section = section[step]
        section[path[-1]] = environment[variable]
        variables[".".join(path)] = variable
    return variables


def _scalars(model: type[BaseModel]) -> list[tuple[str, ...]]:
    """The path of every single value of a model and its sections."""
    paths: list[tuple[str, ...]] = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and not isinstance(kind, types.GenericAlias) and issubclass(kind, BaseModel):
            paths += [(name, *path) for path in _scalars(kind)]
        elif typing.get_origin(kind) not in (tuple, dict):
            paths.append((name,))
    return paths


def _blamed(mistake: Mistake, variables: Mapping[str, str]) -> Mistake:
    """A mistake that came from the environment names the variable, not a line of the file."""
    variable = variables.get(mistake.field)
    return mistake if variable is None else Mistake(Path(variable), 1, mistake.field, mistake.message)
