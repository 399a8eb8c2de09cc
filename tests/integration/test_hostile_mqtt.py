"""Clients that mean harm, against a real Mosquitto with the configuration that we write and a real core.

Nobody crashes, nothing grows without bound, and what an innocent gateway ships meanwhile is stored, every reading once.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from tests import servers, siege
from tests.siege import Innocent, Siege

pytestmark = pytest.mark.integration

_GROWS_MAX_MB = (
    150.0  # the broker may queue up to 200 MB by its configuration; what is left after each attack is far less
)


def counted(folder: Path) -> int:
    """Readings of the innocent that the core has counted."""
    with contextlib.closing(sqlite3.connect(folder / "data" / "gatehouse.db")) as db:
        rows = db.execute(
            "SELECT sum(good + suspect + bad) FROM completeness_day JOIN completeness_series USING (series)"
            " WHERE device = 'level-1'"
        )
        return int(rows.fetchall()[0][0] or 0)


def test_hostile_clients_end_nothing_and_the_innocent_loses_nothing(tmp_path: Path) -> None:
    with siege.siege(tmp_path) as stands:
        sent = 0
        before = stands.memory_mb()
        for name, attack in siege.ATTACKS.items():
            with Innocent(stands) as innocent:
                attack(stands)
            assert innocent.failure is None, (name, innocent.failure)
            sent += len(innocent.due_s)
            assert stands.is_well(), name
            servers.wait_until(lambda: _comes_in(stands), 30, f"a new connection after {name}")
        servers.wait_until(lambda: counted(tmp_path) == sent, 60, f"{sent} readings of the innocent to be counted")
        broker_mb, core_mb = (now - then for now, then in zip(stands.memory_mb(), before, strict=True))
        assert broker_mb < _GROWS_MAX_MB and core_mb < _GROWS_MAX_MB, (broker_mb, core_mb)
        log = (tmp_path / "core.log").read_text()
        assert "a part of the core failed" not in log and "Traceback" not in log


def _comes_in(stands: Siege) -> bool:
    """Whether somebody with a certificate is let in."""
    stands.link("gatehouse-core-api").close()
    return True
