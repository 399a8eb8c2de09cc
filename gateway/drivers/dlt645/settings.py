"""What a DL/T 645 driver can be told."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from gateway.drivers.dlt645.items import ITEMS_1997, ITEMS_2007, Item, exact_item, item_of
from gateway.meter import Digits, MeterDevice, MeterPoint, MeterSettings, read_profiles

_FILE = Path(__file__).parent / "profiles.yaml"


class ItemFormat(BaseModel):
    """How a vendor's own item is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int = Field(ge=1, le=16)
    decimals: int = Field(default=0, ge=0, le=9)
    signed: bool = False
    unit: str = ""


class Dlt645Point(MeterPoint):
    """One metric: an item by its identifier, of 8 digits (2007) or 4 (1997), and which of its values."""

    item: Digits = Field(pattern=r"^([0-9A-Fa-f]{8}|[0-9A-Fa-f]{4})$")
    index: int = Field(default=0, ge=0, le=63)
    format: ItemFormat | None = None  # of an item that the standard does not have

    @field_validator("item")
    @classmethod
    def _upper(cls, item: str) -> str:
        return item.upper()

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if self.format is None and item_of(self.item) is None:
            count = len(ITEMS_2007 if len(self.item) == 8 else ITEMS_1997)
            raise ValueError(f"item {self.item} is none of the {count} that are known; give its 'format'")
        return self

    @property
    def meaning(self) -> Item:
        """How its values are written."""
        if self.format is not None:
            own = self.format
            return exact_item(self.item, own.bytes, own.decimals, own.unit, own.signed)
        known = item_of(self.item)
        assert known is not None
        return known


class RelaySettings(BaseModel):
    """Lets `gatehouse gateway relay` switch this meter. Without it nothing here can."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    password: SecretStr  # six digits
    level: int = Field(default=2, ge=0, le=9)
    operator: Digits = Field(default="00000000", pattern=r"^\d{8}$")  # what the meter records

    @field_validator("password")
    @classmethod
    def _six_digits(cls, password: SecretStr) -> SecretStr:
        text = password.get_secret_value()
        if len(text) != 6 or not text.isdecimal():
            raise ValueError("a password has six digits")
        return password


class Dlt645Device(MeterDevice):
    """One meter on the line, by the twelve digits printed on it (leading zeros may be left out)."""

    address: Digits = Field(pattern=r"^\d{1,12}$")
    profile: str = "energy"
    relay: RelaySettings | None = None

    @field_validator("address")
    @classmethod
    def _twelve_digits(cls, address: str) -> str:
        return address.zfill(12)


class Dlt645Settings(MeterSettings[Dlt645Point, Dlt645Device]):
    """Meters of both editions on one line."""

    @classmethod
    def known_profiles(cls) -> Mapping[str, tuple[Dlt645Point, ...]]:
        return _known()


@functools.cache
def _known() -> Mapping[str, tuple[Dlt645Point, ...]]:
    return read_profiles(_FILE, Dlt645Point)
