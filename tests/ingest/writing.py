"""A history writer in a process of its own, to be killed: `python -m tests.ingest.writing STORE FOLDER [URL TOKEN]`.

Carries the journal in FOLDER into history, a few records at a time, and says on standard output how far its cursor is.
"""

import sys
from pathlib import Path
from unittest import mock

from pydantic import SecretStr

from ingest.history import loop
from ingest.history.history import HistoryWriter, SeriesPlace
from ingest.history.influx import InfluxWriter
from ingest.history.parquet import ParquetWriter
from ingest.history.quarantine import Quarantine
from ingest.history.settings import InfluxSettings
from telemetry.clock import SystemClock
from telemetry.database import open_database
from telemetry.journal import Journal

SERIES = [SeriesPlace(f"d{n}", "energy", "meter", "p", "s") for n in range(3)]


def main() -> None:
    """Until everything is written."""
    store, folder = sys.argv[1], Path(sys.argv[2])
    writer: HistoryWriter
    if store == "parquet":
        writer = ParquetWriter(folder / "history", SERIES)
    else:
        writer = InfluxWriter(InfluxSettings(url=sys.argv[3], token=SecretStr(sys.argv[4])), SERIES)
    journal = Journal(folder / "journal")
    quarantine = Quarantine(open_database(f"sqlite:///{folder}/g.db"))
    with (
        mock.patch.object(loop, "ROWS_MAX", 40),
        mock.patch("ingest.history.parquet._ROLL_QUIET_S", 0.0),
        mock.patch.object(journal, "read", lambda after, read=journal.read: read(after, 5)),
    ):
        carrying = loop.HistoryLoop(journal, writer, quarantine, SystemClock())
        while journal.cursor(loop.CURSOR) < journal.last:
            carrying.step(is_stopping=True)
            writer.tidy()
            print(journal.cursor(loop.CURSOR), flush=True)
    journal.close()


if __name__ == "__main__":
    main()
