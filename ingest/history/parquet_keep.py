"""How long the embedded history is kept: readings and rollups by age, and all of it by the room it takes.

What goes is whole days, the oldest first: readings before rollups, and no day before its rollups hold all of it. A clock
that stands far ahead of all that there is costs nothing (`days.aged_from`). From which
day on there are readings is written down before anything is deleted, so that a reading that comes later still for a day that
is gone is refused like InfluxDB refuses what is before a bucket's retention, and cannot pass for all that there was.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import msgspec

from ingest import events
from ingest.history.days import aged_from
from ingest.history.parquet_files import DAY_MS, DAYS, day_folder, day_name, day_number
from ingest.history.parquet_rollups import Roller
from ingest.history.settings import ParquetSettings
from telemetry.clock import Clock
from telemetry.disk import sync_folder
from telemetry.errors import Unavailable

_LOOK_EVERY_S = 600.0


class _Kept(msgspec.Struct):
    from_day: int  # since 1970


class Keeper:
    """What is let go of, a day at a time."""

    def __init__(self, settings: ParquetSettings, roller: Roller, clock: Clock) -> None:
        self._settings = settings
        self._roller = roller
        self._clock = clock
        self._file = settings.folder / "kept.json"
        self._look_s = clock.monotonic_s()
        self.from_day = -(1 << 31)  # readings of earlier days are gone for good
        self._shortage = ""  # what was let go of for lack of room
        self._trouble = ""  # what keeps something from being let go of, while it does

    @property
    def warning(self) -> str:
        """What an administrator should know."""
        return self._trouble or self._shortage

    def start(self) -> None:
        """Raises OSError."""
        if self._file.exists():
            self.from_day = msgspec.json.decode(self._file.read_bytes(), type=_Kept).from_day

    def let_go(self, through: int) -> bool:
        """One day or month for which it is time; whether there was one. Looks every ten minutes."""
        if self._clock.monotonic_s() < self._look_s:
            return False
        try:
            has_gone = self._let_go(through)
            self._trouble = ""
        except (OSError, Unavailable) as error:
            # Readings go on being kept meanwhile.
            self._trouble = f"what is too old could not be let go of: {error}"
            events.history_untidy(self._trouble)
            has_gone = False
        if not has_gone:
            self._look_s = self._clock.monotonic_s() + _LOOK_EVERY_S
        return has_gone

    def _let_go(self, through: int) -> bool:
        keep, today = self._settings, self._clock.now_ms() // DAY_MS
        days = sorted({day for _, day in self._days()})
        past = [day for day in days if day < today]
        counted_from = aged_from(today, max([*days, self.from_day]))
        if keep.keep_raw_days is not None and past and past[0] < counted_from - keep.keep_raw_days:
            self._drop_day(past[0], through, "older than history.keep_raw_days")
            return True
        months = sorted({path.name.removeprefix("month=") for path in keep.folder.glob("rollup=*/kind=*/month=*")})
        if (
            keep.keep_rollup_days is not None
            and months
            and months[0] < day_name(counted_from - keep.keep_rollup_days)[:7]
        ):
            self._drop_month(months[0], "older than history.keep_rollup_days")
            return True
        if keep.disk_mb is None or self._size_bytes() <= keep.disk_mb * 1_000_000:
            return False
        if past:
            self._drop_day(past[0], through, "history.disk_mb is used up")
        elif len(months) > 1:
            self._drop_month(months[0], "history.disk_mb is used up")
        self._shortage = (
            f"history.disk_mb ({keep.disk_mb}) is used up: "
            f"readings are kept from {day_name(self.from_day) if past else 'today'} on"
        )
        return bool(past) or len(months) > 1

    def _drop_day(self, day: int, through: int, why: str) -> None:
        kinds = [kind for kind, of in self._days() if of == day]
        for kind in kinds:
            if not self._roller.is_current(kind, day):
                self._roller.roll_day(kind, day, through)
        self.from_day = max(self.from_day, day + 1)
        draft = self._file.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(_Kept(self.from_day)))
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        draft.rename(self._file)
        sync_folder(self._file.parent)
        for kind in kinds:
            shutil.rmtree(day_folder(self._settings.folder, kind, day))
        events.history_let_go(f"readings of {day_name(day)}", why)

    def _drop_month(self, month: str, why: str) -> None:
        for folder in self._settings.folder.glob(f"rollup=*/kind=*/month={month}"):
            shutil.rmtree(folder)
        events.history_let_go(f"rollups of {month}", why)

    def _days(self) -> Iterator[tuple[str, int]]:
        for path in self._settings.folder.glob(f"kind=*/{DAYS}"):
            yield path.parent.name.removeprefix("kind="), day_number(path.name.removeprefix("day="))

    def _size_bytes(self) -> int:
        return sum(path.stat().st_size for path in self._settings.folder.rglob("*.parquet"))
