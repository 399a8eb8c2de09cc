"""`gatehouse init`: makes what the core and the API expect to find. Running it again is harmless."""

from __future__ import annotations

from api.register.store import open_register
from gatehouse.migrate import migrate
from gatehouse.settings import Settings
from ingest.history.settings import ParquetSettings
from telemetry.clock import SystemClock
from telemetry.database import shown_url
from telemetry.errors import Unavailable


def init(settings: Settings, influxdb_token: str | None = None) -> list[str]:
    """Make it; what was done or found, a line each. Raises BadConfiguration or Unavailable.

    Args:
        influxdb_token: An administrator's, where history.token may not make buckets.
    """
    migrate(settings.database.url)
    done = [f"database {shown_url(settings.database.url)}: its tables are as this version needs them"]
    register = open_register(settings.visitor_register, SystemClock())
    register.check_key()
    register.close()
    done.append(
        f"visitor register {shown_url(settings.visitor_register.url)}: sealed with {settings.visitor_register.key_file}; "
        "keep a copy of that file safe, apart from backups"
    )
    history = settings.history
    if isinstance(history, ParquetSettings):
        try:
            history.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"history.folder {history.folder}: {error}") from error
        kept = "for ever" if history.keep_raw_days is None else f"for {history.keep_raw_days} days"
        return [*done, f"history in {history.folder}: readings are kept {kept}"]
    from ingest.history.influx_setup import set_up

    return [*done, *set_up(history, influxdb_token)]
