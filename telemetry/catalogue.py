"""What is known about the world, as data: sites, places, kinds of device, devices, gateways, drain topology.

A catalogue is a folder of YAML files, each holding any of the lists of `CatalogueFile`; together they make one
`Catalogue`. A new sort of device is a new file here, not new code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
)

from telemetry.declaration import Document, Mistake, Mistakes, read_document, validate

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
MetricName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]{0,62}$")]


class Text(BaseModel):
    """A text for people, in both languages. One plain string serves for both."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    en: str = Field(min_length=1)
    zh: str = Field(min_length=1)


def _both_languages(value: Any) -> Any:
    return {"en": value, "zh": value} if isinstance(value, str) else value


LocalText = Annotated[Text, BeforeValidator(_both_languages)]


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"'{name}' is not a time zone; write one like Asia/Shanghai") from error
    return name


ZoneName = Annotated[str, AfterValidator(_known_zone)]


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Metric(_Declared):
    """One measured quantity of a kind."""

    id: MetricName
    name: LocalText
    unit: str  # as in UCUM where it has a sign: degC, m, mm/h, W, kWh, m3, 1
    plausible: tuple[float, float] | None = None  # outside it a reading's quality is bad
    decimals: int = Field(default=1, ge=0, le=6)
    counter: bool = False  # a register that only grows, but for resets
    interval_s: PositiveFloat | None = None  # a reading is due so often; learned from the readings when not given
    recheck: bool = False  # the second measurement of a person whom a scanner of the same gate has stopped


class DeviceKind(_Declared):
    """The declaration of what one sort of device can measure."""

    id: Name
    name: LocalText
    metrics: tuple[Metric, ...] = Field(min_length=1)


class Drain(_Declared):
    """Geometry of a manhole or outfall, metres above its invert, and where its water goes."""

    depth_m: PositiveFloat  # invert to rim
    crown_m: PositiveFloat  # invert to the top of the outgoing pipe
    invert_m: float = 0.0  # above the site's datum
    downstream: Name | None = None  # the next place along the flow


class Site(_Declared):
    """A compound."""

    id: Name
    name: LocalText
    timezone: ZoneName = "Asia/Shanghai"


class Place(_Declared):
    """A gate, lane, manhole, building, floor, room …: a tree below each site."""

    id: Name
    name: LocalText
    kind: Name
    site: Name | None = None  # of a root; the places below inherit it
    parent: Name | None = None
    drain: Drain | None = None


class Gateway(_Declared):
    """An edge box that may publish for its site."""

    id: Name
    name: LocalText
    site: Name
    local_page: str | None = Field(default=None, pattern=r"^https?://[^\s/]+/?$")  # where its own page is

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """An earlier version, switched back to, reads the journal's catalogue too, and takes no field it does not know."""
        return {name: value for name, value in whole(self).items() if name != "local_page" or value is not None}


class Device(_Declared):
    """A physical sensor or meter at a place, read by a gateway."""

    id: Name
    kind: Name
    place: Name
    gateway: Name
    name: LocalText | None = None


class CatalogueFile(_Declared):
    """One YAML file: any of these lists."""

    sites: tuple[Site, ...] = ()
    kinds: tuple[DeviceKind, ...] = ()
    places: tuple[Place, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    devices: tuple[Device, ...] = ()


class Catalogue(_Declared):
    """All files together, cross-checked. Look things up by id through the cached mappings."""

    sites: tuple[Site, ...] = ()
    kinds: tuple[DeviceKind, ...] = ()
    places: tuple[Place, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    devices: tuple[Device, ...] = ()

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read every *.yaml of a folder. Raises Mistakes naming file, line and field of all that is wrong."""
        files = sorted(folder.glob("*.yaml"))
        if not files:
            raise Mistakes([Mistake(folder, 1, "", "holds no *.yaml file; a catalogue needs at least one")])
        mistakes: list[Mistake] = []
        parsed: list[tuple[Document, CatalogueFile]] = []
        for file in files:
            try:
                document = read_document(file)
                parsed.append((document, validate(document, CatalogueFile)))
            except Mistakes as error:
                mistakes += error.mistakes
        if not mistakes:
            mistakes = _cross_check(parsed)
        if mistakes:
            raise Mistakes(mistakes)
        return cls(
            **{part: tuple(x for _, f in parsed for x in getattr(f, part)) for part in CatalogueFile.model_fields}
        )

    @cached_property
    def site(self) -> dict[str, Site]:
        return {site.id: site for site in self.sites}

    @cached_property
    def kind(self) -> dict[str, DeviceKind]:
        return {kind.id: kind for kind in self.kinds}

    @cached_property
    def place(self) -> dict[str, Place]:
        return {place.id: place for place in self.places}

    @cached_property
    def gateway(self) -> dict[str, Gateway]:
        return {gateway.id: gateway for gateway in self.gateways}

    @cached_property
    def device(self) -> dict[str, Device]:
        return {device.id: device for device in self.devices}

    @cached_property
    def metric(self) -> dict[tuple[str, str], Metric]:
        """Every series that can exist, (device, metric), with its metric."""
        return {(device.id, metric.id): metric for device in self.devices for metric in self.kind[device.kind].metrics}

    def site_of_place(self, place: str) -> str:
        """The site at the root of a place's branch."""
        here = self.place[place]
        while here.parent is not None:
            here = self.place[here.parent]
        assert here.site is not None
        return here.site

    def site_of(self, device: str) -> str:
        """The site a device stands in."""
        return self.site_of_place(self.device[device].place)

    def gate_of(self, place: str) -> str:
        """The gate that a place belongs to: the nearest around it of kind 'gate', else what it hangs on."""
        path = self.path_of(place)
        for around in reversed(path):
            if around.kind == "gate":
                return around.id
        return path[-1].parent or place

    def path_of(self, place: str) -> tuple[Place, ...]:
        """A place and everything around it, outermost first."""
        path = [self.place[place]]
        while path[0].parent is not None:
            path.insert(0, self.place[path[0].parent])
        return tuple(path)


def _cross_check(parsed: list[tuple[Document, CatalogueFile]]) -> list[Mistake]:
    """What no single entry can know: ids that repeat, references to nothing, trees that close on themselves."""
    mistakes: list[Mistake] = []
    where: dict[tuple[str, str], tuple[Document, int]] = {}
    entries: dict[str, dict[str, Any]] = {part: {} for part in CatalogueFile.model_fields}
    for document, file in parsed:
        for part in CatalogueFile.model_fields:
            for number, entry in enumerate(getattr(file, part)):
                if (part, entry.id) in where:
                    other, at = where[part, entry.id]
                    first = f"{other.file}:{other.line((part, at, 'id'))}"
                    mistakes.append(document.mistake((part, number, "id"), f"'{entry.id}' is taken: see {first}"))
                    continue
                where[part, entry.id] = (document, number)
                entries[part][entry.id] = entry

    def complain(part: str, entry: str, field: tuple[str, ...], message: str) -> None:
        document, number = where[part, entry]
        mistakes.append(document.mistake((part, number, *field), message))

    def must_exist(part: str, entry: str, field: tuple[str, ...], target: str, name: str | None) -> bool:
        if name is None or name in entries[target]:
            return True
        complain(part, entry, field, f"there is no {target[:-1]} '{name}'")
        return False

    for kind in entries["kinds"].values():
        for metric in _repeated(metric.id for metric in kind.metrics):
            complain("kinds", kind.id, ("metrics",), f"metric '{metric}' stands twice")
    for gateway in entries["gateways"].values():
        must_exist("gateways", gateway.id, ("site",), "sites", gateway.site)
    for place in entries["places"].values():
        if (place.site is None) == (place.parent is None):
            complain("places", place.id, (), "give either 'site' (a root) or 'parent' (below another place)")
        must_exist("places", place.id, ("site",), "sites", place.site)
        must_exist("places", place.id, ("parent",), "places", place.parent)
        if place.drain is not None:
            must_exist("places", place.id, ("drain", "downstream"), "places", place.drain.downstream)
            if place.drain.crown_m > place.drain.depth_m:
                complain("places", place.id, ("drain", "crown_m"), "the pipe's crown lies above the rim")
    places: dict[str, Place] = entries["places"]
    for name in _cycles(places, lambda place: place.parent):
        complain("places", name, ("parent",), "its parents run in a circle")
    for name in _cycles(places, lambda place: place.drain.downstream if place.drain else None):
        complain("places", name, ("drain", "downstream"), "its water runs in a circle")
    sites = _sites(places)
    for device in entries["devices"].values():
        must_exist("devices", device.id, ("kind",), "kinds", device.kind)
        in_place = must_exist("devices", device.id, ("place",), "places", device.place)
        if must_exist("devices", device.id, ("gateway",), "gateways", device.gateway) and in_place:
            site, served = sites.get(device.place), entries["gateways"][device.gateway].site
            if site is not None and site != served:
                complain("devices", device.id, ("gateway",), f"gateway '{device.gateway}' serves {served}, not {site}")
    return mistakes


def _repeated(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]


def _cycles(places: dict[str, Place], onward: Callable[[Place], str | None]) -> list[str]:
    """One member of each circle."""
    found, cleared = [], set()
    for start in places:
        trail: list[str] = []
        here: str | None = start
        while here is not None and here in places and here not in cleared and here not in trail:
            trail.append(here)
            here = onward(places[here])
        if here in trail:
            found.append(str(here))
        cleared.update(trail)
    return found


def _sites(places: dict[str, Place]) -> dict[str, str]:
    """The site of every place whose branch has a root."""
    sites = {}
    for name in places:
        here, steps = places[name], 0
        while here.parent is not None and here.parent in places and steps < len(places):
            here, steps = places[here.parent], steps + 1
        if here.site is not None:
            sites[name] = here.site
    return sites
