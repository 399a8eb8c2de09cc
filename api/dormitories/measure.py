"""What a building's meters counted in a month: registers from history at the end of each hour.

A week on either side is read too, and where a meter was not heard in it, two months: what it counted while it was silent is
billed in the months that it was silent in.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple
from zoneinfo import ZoneInfo

from api.dormitories.bill import Measured, Slot
from api.dormitories.building import Building, Dormitories, Exchanged, days_of, rooms_of
from api.dormitories.remembered import Remembered
from api.dormitories.tariff import Tariff
from api.dormitories.use import Exchange, Register, Use, used
from ingest.history.history import Aggregate, HistoryReader
from telemetry.catalogue import Catalogue, Metric

_HOUR_MS = 3_600_000
_AROUND_MS = 7 * 24 * _HOUR_MS  # how far beyond the month a reading may lie that its first or last day is counted from
_FAR_MS = 62 * 24 * _HOUR_MS  # and of a meter that was not heard there: as far back as issued months are corrected


def month_edges(month: date, zone: ZoneInfo, by_hour: bool) -> tuple[list[int], tuple[Slot, ...]]:
    """Epoch ms between which a month's days, or their hours, lie; and the stretch that each pair is."""
    starts, slots = [], []
    for number, day in enumerate(days_of(month)):
        for hour in range(24) if by_hour else (0,):
            starts.append(_ms(datetime(day.year, day.month, day.day, hour, tzinfo=zone)))
            slots.append(Slot(number, hour))
    end = days_of(month)[-1] + timedelta(days=1)
    edges = [*starts, _ms(datetime(end.year, end.month, end.day, tzinfo=zone))]
    # Where clocks go forward an hour is missing: its stretch has no length, and is left out.
    kept = [at for at in range(len(slots)) if edges[at] < edges[at + 1]]
    return [*(edges[at] for at in kept), edges[-1]], tuple(slots[at] for at in kept)


def measure(
    history: HistoryReader | Remembered, catalogue: Catalogue, dormitories: Dormitories, building: Building, month: date
) -> list[Measured]:
    """What each tariff's meters counted. Raises Unavailable."""
    zone = ZoneInfo(catalogue.site[catalogue.site_of_place(building.place)].timezone)
    rooms = rooms_of(catalogue, building.place)
    of_room: dict[str, list[str]] = {room: [] for room in rooms}
    for each in catalogue.devices:
        if each.place in of_room:
            of_room[each.place].append(each.id)
    found = []
    for name in building.tariffs:
        tariff = dormitories.tariff(name)
        version = tariff.version(month)
        if version is None:
            continue
        edges, slots = month_edges(month, zone, by_hour=bool(version.hours))
        metered = [
            device
            for device in (*itertools.chain.from_iterable(of_room.values()), *building.common, *building.main)
            if (device, tariff.metric) in catalogue.metric
        ]
        start_ms, end_ms = edges[0] - _AROUND_MS, edges[-1] + _AROUND_MS

        def read(
            devices: Sequence[str], start_ms: int, end_ms: int, tariff: Tariff = tariff
        ) -> dict[str, list[tuple[int, int]]]:
            exchanged, decimals = building.exchanged, tariff.decimals
            return _registers(history, catalogue, tariff.metric, decimals, exchanged, devices, start_ms, end_ms)

        registers = read(metered, start_ms, end_ms)
        for unheard, span in (
            ([name for name, at in registers.items() if not any(ms <= edges[0] for ms, _ in at)],
             (edges[0] - _FAR_MS, start_ms)),
            ([name for name, at in registers.items() if not any(ms >= edges[-1] for ms, _ in at)],
             (end_ms, edges[-1] + _FAR_MS)),
        ):  # fmt: skip
            for device, found_far in read(unheard, *span).items():
                registers[device] = registers[device] + found_far
        fold = _fold(building, len(rooms))
        use = {
            device: used(readings, edges, _register(tariff, building.exchanged, device, fold.get(device, 1)))
            for device, readings in registers.items()
        }

        def uses(devices: Iterable[str], use: Mapping[str, Use] = use) -> list[Use]:
            return [use[device] for device in devices if device in use]

        found.append(
            Measured(
                tariff,
                slots,
                {room: uses(devices) for room, devices in of_room.items()},
                uses(building.common),
                uses(building.main),
            )
        )
    return found


def grown(
    history: HistoryReader | Remembered,
    catalogue: Catalogue,
    dormitories: Dormitories,
    metric: Metric,
    devices: Sequence[str],
    edges: Sequence[int],
    around_ms: int,
) -> dict[str, Use]:
    """What counters of any sort counted between edges, as bills count: what falls or was exchanged is no growth.

    What is a leap and what a rollover a tariff says; of a counter of which there is none, nobody does.

    Args:
        around_ms: How far beyond the edges a reading may lie that it is counted from.

    Raises Unavailable.
    """
    span = (edges[0] - around_ms, edges[-1] + around_ms)
    exchanged = [each for building in dormitories.buildings for each in building.exchanged]
    read = _registers(history, catalogue, metric.id, metric.decimals, exchanged, devices, *span)
    registers = _registers_by_tariff(catalogue, dormitories, metric)
    return {
        device: used(
            readings,
            edges,
            registers.get(device) or Register(exchanges=_exchanges(exchanged, device, metric.decimals)),
        )
        for device, readings in read.items()
    }


def _registers_by_tariff(catalogue: Catalogue, dormitories: Dormitories, metric: Metric) -> dict[str, Register]:
    """How the meters of a metric behave that a building has a tariff for, in the metric's digits."""
    found: dict[str, Register] = {}
    for building in dormitories.buildings:
        tariff = next((each for each in map(dormitories.tariff, building.tariffs) if each.metric == metric.id), None)
        if tariff is None:
            continue
        tariff = tariff.model_copy(update={"decimals": metric.decimals})
        rooms = set(rooms_of(catalogue, building.place))
        fold = _fold(building, len(rooms))
        in_rooms = [device.id for device in catalogue.devices if device.place in rooms]
        for name in (*in_rooms, *building.common, *building.main):
            found[name] = _register(tariff, building.exchanged, name, fold.get(name, 1))
    return found


def _fold(building: Building, rooms: int) -> dict[str, int]:
    """What everything passes through may run as fast as all rooms together: by how much faster than a tariff says."""
    return dict.fromkeys(building.main, rooms + len(building.common))


def _registers(
    history: HistoryReader | Remembered,
    catalogue: Catalogue,
    metric: str,
    decimals: int,
    exchanged: Sequence[Exchanged],
    devices: Iterable[str],
    start_ms: int,
    end_ms: int,
) -> dict[str, list[tuple[int, int]]]:
    """Of each device (ms, digits) at the end of each hour that has a reading."""
    found: dict[str, list[tuple[int, int]]] = {device: [] for device in devices}
    alike: dict[tuple[str, _Stretch], list[str]] = {}
    for device in found:
        for stretch in _stretches(exchanged, device, start_ms, end_ms):
            alike.setdefault((catalogue.device[device].kind, stretch), []).append(device)
    for (kind, stretch), names in alike.items():
        span = (stretch.start_ms, stretch.end_ms)
        curves = history.read_many(kind, names, metric, *span, _HOUR_MS, Aggregate.LAST)
        for device, curve in curves.items():
            found[device] += [
                (min(time_ms + _HOUR_MS, stretch.last_ms), round(Decimal(value).scaleb(decimals)))
                for time_ms, value in zip(curve.time_ms.tolist(), curve.value.tolist(), strict=True)
                if math.isfinite(value)
            ]
    return found


class _Stretch(NamedTuple):
    """For so long a device was one and the same meter."""

    start_ms: int
    end_ms: int
    last_ms: int  # no reading of it counts as later


def _stretches(exchanged: Sequence[Exchanged], device: str, start_ms: int, end_ms: int) -> Iterable[_Stretch]:
    """What the old meter showed is before its exchange and what the new one shows after it, whatever hour both fall into.

    What the old one showed in the very hour is left out: what it showed at the end was read off it.
    """
    for time_ms in sorted(_ms(each.time) for each in exchanged if each.device == device):
        if start_ms < time_ms < end_ms:
            if start_ms < (hour_ms := time_ms // _HOUR_MS * _HOUR_MS):
                yield _Stretch(start_ms, hour_ms, time_ms - 1)
            start_ms = time_ms
    yield _Stretch(start_ms, end_ms, end_ms + _HOUR_MS)


def _register(tariff: Tariff, exchanged: Sequence[Exchanged], device: str, fold: int) -> Register:
    most = tariff.max_rate_per_h
    return Register(
        modulus=_digits(tariff.modulus, tariff.decimals),
        most_per_h=None if most is None else fold * Fraction(most.scaleb(tariff.decimals)),
        exchanges=_exchanges(exchanged, device, tariff.decimals),
    )


def _exchanges(exchanged: Sequence[Exchanged], device: str, decimals: int) -> tuple[Exchange, ...]:
    return tuple(
        Exchange(_ms(each.time), _digits(each.old_last, decimals), _digits(each.new_first, decimals))
        for each in exchanged
        if each.device == device
    )


def _digits(amount: Decimal | None, decimals: int) -> int | None:
    return None if amount is None else round(amount.scaleb(decimals))


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
