"""A scenario with its beginning, its end, and what must come of it: rule, device, by when; and what must not.

What is stated is closed: an alarm that no `must` and no `may` covers is one too many. Times count from the beginning.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PositiveInt, model_validator

from firmware_sim.district import District
from firmware_sim.scenario import Scenario, Seconds
from telemetry.declaration import Mistakes, read_document


class _Stated(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: str
    device: str | None = None  # any, when not given
    from_s: Seconds = 0.0
    gap: str | None = Field(default=None, min_length=10)  # why our rules do not reach it; a gap that closes must go


class Must(_Stated):
    """An alarm that must be raised in this time."""

    device: str
    by_s: Seconds
    open_until_s: Seconds | None = None  # it must not close before
    before: str | None = None  # a harm of the same device that it must come before: overflow

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.by_s <= self.from_s:
            raise ValueError("'by_s' must lie after 'from_s'")
        return self


class May(BaseModel):
    """Alarms that are as good raised as not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: str
    device: str | None = None
    from_s: Seconds = 0.0
    until_s: Seconds | None = None


class MustNot(_Stated):
    """An alarm that must not be raised, whatever a `may` says. With a `gap` it is, and ought not to be."""

    until_s: Seconds | None = None


class Story(Scenario):
    """One file of a folder of scenarios."""

    title: str
    seed: PositiveInt = 1
    start: AwareDatetime
    lasts_s: Seconds
    every_s: Seconds = Field(ge=1)
    sites: tuple[str, ...] = Field(min_length=1)
    metrics: tuple[str, ...] = Field(min_length=1)  # only these are measured
    must: tuple[Must, ...] = ()
    may: tuple[May, ...] = ()
    must_not: tuple[MustNot, ...] = ()

    @property
    def start_ms(self) -> int:
        """Epoch milliseconds."""
        return round(self.start.timestamp() * 1000)

    @property
    def end_ms(self) -> int:
        """Epoch milliseconds."""
        return self.start_ms + round(1000 * self.lasts_s)

    @classmethod
    def load(cls, file: Path, district: District) -> Self:
        """Read one and check its names against the district. Raises Mistakes."""
        story = super().load(file, district)
        document = read_document(file)
        catalogue = district.catalogue
        mistakes = [
            document.mistake(("sites", number), f"there is no site '{site}'")
            for number, site in enumerate(story.sites)
            if site not in catalogue.site
        ]
        metrics = {metric for _, metric in catalogue.metric}
        mistakes += [
            document.mistake(("metrics", number), f"no device measures '{metric}'")
            for number, metric in enumerate(story.metrics)
            if metric not in metrics
        ]
        for part in ("must", "may", "must_not"):
            for number, entry in enumerate(getattr(story, part)):
                if entry.device is not None and entry.device not in {**catalogue.device, **catalogue.gateway}:
                    mistakes.append(document.mistake((part, number, "device"), f"there is no device '{entry.device}'"))
        for number, entry in enumerate(story.must):
            if entry.by_s > story.lasts_s:
                mistakes.append(
                    document.mistake(("must", number, "by_s"), "the scenario is over before: see 'lasts_s'")
                )
        for number, action in enumerate(story.timeline):
            if action.at_s > story.lasts_s:
                mistakes.append(
                    document.mistake(("timeline", number, "at_s"), "the scenario is over before: see 'lasts_s'")
                )
        if mistakes:
            raise Mistakes(mistakes)
        return story
