"""Codecs of meters: which family of protocols each reads, and what it says of a vector."""

from __future__ import annotations

from collections.abc import Mapping

from tests.vectors.vector import Adapter

CLAIMS: Mapping[str, Adapter] = {}
