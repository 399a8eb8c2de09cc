"""What a history must be able to do, whichever store stands behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from telemetry.batch import Floats, Qualities, ReadingBatch, Times
from telemetry.catalogue import Catalogue
from telemetry.errors import Unavailable
from telemetry.series import SeriesRegistry

_DEVICES_MAX = 100  # of one question to a store
GATEWAY_KIND = "gateway"  # the kind under which the core's own series of gateways are kept


class Aggregate(Enum):
    """How the readings of one step become one value."""

    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    LAST = "last"
    COUNT = "count"
    INCREASE = "increase"  # of a register; a fall starts anew from zero


@dataclass(frozen=True, slots=True)
class Curve:
    """One series over time. Axis: N points, ascending in time."""

    time_ms: Times
    value: Floats
    quality: Qualities


class Newest(NamedTuple):
    """The last reading of a series."""

    time_ms: int
    value: float
    quality: int


class Lately(NamedTuple):
    """The last readings, and what was looked at for them: names of the store's own."""

    newest: Mapping[tuple[str, str], Newest]  # by (device, metric)
    seen: Set[str]


@dataclass(frozen=True, slots=True)
class SeriesPlace:
    """What a store files a series under."""

    device: str
    metric: str
    kind: str
    place: str
    site: str


def catalogue_places(catalogue: Catalogue) -> list[SeriesPlace]:
    """Every series that the catalogue knows, where there is no registry: for what did not come through the journal."""
    return [
        SeriesPlace(
            device, metric, catalogue.device[device].kind, catalogue.device[device].place, catalogue.site_of(device)
        )
        for device, metric in catalogue.metric
    ]


def series_places(registry: SeriesRegistry, catalogue: Catalogue) -> list[SeriesPlace]:
    """For every index of the registry; what has left the catalogue keeps its name and loses its place."""
    places = []
    for device, metric in registry.names:
        if device in catalogue.device:
            known = catalogue.device[device]
            places.append(SeriesPlace(device, metric, known.kind, known.place, catalogue.site_of(device)))
        elif device in catalogue.gateway:
            places.append(SeriesPlace(device, metric, GATEWAY_KIND, "", catalogue.gateway[device].site))
        else:
            places.append(SeriesPlace(device, metric, "retired", "", ""))
    return places


class Refused(NamedTuple):
    """A reading that a store will never take."""

    row: int  # of the batch
    why: str  # in the store's own words
    excerpt: str


class StoreAway(Unavailable):
    """The store cannot be used now.

    Args:
        needs: What an administrator has to do before it can be; "" when waiting is enough.
        retry_after_s: How long the store itself asks to be left alone; 0 when it does not say.
    """

    def __init__(self, detail: str, needs: str = "", retry_after_s: float = 0.0) -> None:
        super().__init__(f"{detail}; {needs}" if needs else detail)
        self.needs = needs
        self.retry_after_s = retry_after_s


class HistoryWriter(Protocol):
    """The core's side."""

    gather_s: float
    """For how long readings are gathered even where the last write was long ago, because a small one costs too much."""

    def start(self, cursor: int) -> None:
        """Make the store hold exactly what journal records up to `cursor` say. Raises Unavailable."""

    def write(self, batch: ReadingBatch, first: int, last: int) -> Sequence[Refused]:
        """Keep the readings of journal records `first` to `last`; durable on return. Writing them again changes nothing.

        Returns what the store refused for good. Raises Unavailable: the caller tries again later.
        """

    def tidy(self) -> bool:
        """A bounded piece of housekeeping between writes; whether more waits. Raises Unavailable."""

    def warning(self) -> str:
        """What an administrator should know of the store; "" when there is nothing."""


class HistoryBringer(Protocol):
    """What takes in readings that did not come through the journal, beside a core that may be running."""

    def bring(self, batch: ReadingBatch, name: str) -> Sequence[Refused]:
        """Keep readings under a name of [a-z0-9-]; again under the same name replaces them. Durable on return.

        Returns what was refused for good. Raises Unavailable.
        """


class HistoryReader(Protocol):
    """The API's side."""

    def read(
        self, kind: str, device: str, metric: str, start_ms: int, end_ms: int, every_ms: int | None, how: Aggregate
    ) -> Curve:
        """The readings of [start_ms, end_ms), or one value a step. Bad readings are left out of aggregates.

        Raises Unavailable.
        """

    def read_many(
        self,
        kind: str,
        devices: Sequence[str],
        metric: str,
        start_ms: int,
        end_ms: int,
        every_ms: int | None,
        how: Aggregate,
    ) -> Mapping[str, Curve]:
        """The same of one metric of many devices of a kind at once; a device without readings has an empty curve.

        A question to a store costs some milliseconds whatever it is about, so that eighty meters are not eighty questions.
        Raises Unavailable.
        """

    def newest(self, since_ms: int, known: Set[str] = frozenset()) -> Lately:
        """The last reading of every series that has one since then.

        Args:
            known: What an earlier answer has seen: a store that can tell looks at nothing of it again.

        Raises Unavailable.
        """


class ReaderOfMany(ABC):
    """What the readers of both stores do alike: one device is many, and of many not all are asked for at once."""

    def read(
        self, kind: str, device: str, metric: str, start_ms: int, end_ms: int, every_ms: int | None, how: Aggregate
    ) -> Curve:
        return self.read_many(kind, [device], metric, start_ms, end_ms, every_ms, how)[device]

    def read_many(
        self,
        kind: str,
        devices: Sequence[str],
        metric: str,
        start_ms: int,
        end_ms: int,
        every_ms: int | None,
        how: Aggregate,
    ) -> dict[str, Curve]:
        found: dict[str, Curve] = {}
        names = list(dict.fromkeys(devices))
        # So many at a time that neither a question nor an answer grows without bound.
        for at in range(0, len(names), _DEVICES_MAX):
            some = names[at : at + _DEVICES_MAX]
            found |= zip(some, self._read(kind, some, metric, start_ms, end_ms, every_ms, how), strict=True)
        return found

    @abstractmethod
    def _read(
        self,
        kind: str,
        devices: Sequence[str],
        metric: str,
        start_ms: int,
        end_ms: int,
        every_ms: int | None,
        how: Aggregate,
    ) -> Sequence[Curve]:
        """A curve for each device, in their order. Raises Unavailable."""
