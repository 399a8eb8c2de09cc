"""Everything the core and the API can be told: one YAML file, and the environment over it.

    GATEHOUSE__BROKER__HOST=broker.site gatehouse core --config gatehouse.yaml

Relative paths are relative to the file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from alerts.notify.heartbeat import HeartbeatSettings
from alerts.notify.settings import ChannelSettings
from api.people.openid import OpenIdSettings
from api.register.settings import RegisterSettings
from gatehouse.anchor import AuditSettings
from ingest.history.settings import HistorySettings, ParquetSettings
from telemetry.database import parse_url, shown_url
from telemetry.declaration import read_document, shown_input, validate
from telemetry.errors import BadConfiguration
from telemetry.settings import BrokerSettings

PREFIX = "GATEHOUSE__"


class JournalSettings(BaseModel):
    """Where the core's journal stands and how much of it is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Path("data/journal")
    keep_mb: PositiveInt = 2_000  # what every reader has seen is trimmed, oldest first, past this size


class DatabaseSettings(BaseModel):
    """Alarms, commands, users and audit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = "sqlite:///data/gatehouse.db"


class CompletenessSettings(BaseModel):
    """What counts as late, and how long the figures are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    late_after_s: PositiveInt = 60
    keep_days: PositiveInt = 400


class ApiSettings(BaseModel):
    """Where the screens and the API are served."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65535)
    is_behind_https: bool = False  # marks the session cookie Secure
    session_hours: PositiveInt = 12
    session_idle_hours: PositiveInt = 8  # a session that asked for nothing so long ends before
    openid: OpenIdSettings | None = None  # where people log in beside by name and password
    # Of administrators; when not given, required unless `insecure`.
    second_factor: Literal["required", "optional"] | None = None


class MetricsSettings(BaseModel):
    """Where the core answers /metrics and /health; port 0 switches it off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(default=9108, ge=0, le=65535)


class WatchSettings(BaseModel):
    """When the core says that something is wrong with its machine, or with what comes in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    disk_free_percent: float = Field(default=10.0, ge=0, lt=100)  # with less free a disk is low
    disk_days: PositiveFloat = 7.0  # or when it is full sooner than this, as it filled lately
    certificate_days: PositiveInt = 30
    pki: Path | None = None  # the authority's folder, or a copy of its `issued` and `crl.pem`: gateways' certificates
    backups: Path | None = None  # the folder that backups are made into
    backup_hours: PositiveInt = 26  # a nightly one may take two hours longer than the last
    complete_from: float = Field(default=0.9, ge=0, le=1)  # the share of yesterday's readings that is complete enough
    expects_ntp: bool = False  # that the machine's clock is set by NTP or the like


class ReportsSettings(BaseModel):
    """Where the files of reports lie, and for how long."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path = Path("data/reports")
    keep_days: PositiveInt = 800


class Settings(BaseModel):
    """One district's server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    catalogue: Path = Path("catalogue")
    rules: Path = Path("rules")
    people: Path = Path("people")
    dormitories: Path = Path("dormitories")
    duties: Path = Path("duties")
    broker: BrokerSettings = BrokerSettings()
    journal: JournalSettings = JournalSettings()
    database: DatabaseSettings = DatabaseSettings()
    history: HistorySettings = ParquetSettings()
    # Pydantic has a method of that name.
    visitor_register: RegisterSettings = Field(default=RegisterSettings(), alias="register")
    reports: ReportsSettings = ReportsSettings()
    completeness: CompletenessSettings = CompletenessSettings()
    api: ApiSettings = ApiSettings()
    metrics: MetricsSettings = MetricsSettings()
    watch: WatchSettings = WatchSettings()
    channels: dict[str, ChannelSettings] = {}
    heartbeat: HeartbeatSettings | None = None
    audit: AuditSettings = AuditSettings()
    insecure: bool = False  # start without TLS to the broker, and without trying what must be forbidden there
    client_id: str = Field(default="gatehouse-core", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")

    @property
    def requires_second_factor(self) -> bool:
        """Whether administrators do nothing without one."""
        return not self.insecure if self.api.second_factor is None else self.api.second_factor == "required"


def load_settings(file: Path, environment: dict[str, str] | None = None) -> Settings:
    """Read the file and lay the environment over it. Raises BadConfiguration naming what is wrong and where."""
    document = read_document(file)
    overrides = _overrides(dict(os.environ) if environment is None else environment)
    if not overrides or not isinstance(document.data, dict | None):
        settings = validate(document, Settings)
    else:
        # The file alone may lack what stands in the environment, a secret for instance.
        try:
            settings = Settings.model_validate(_merged(document.data or {}, overrides))
        except ValidationError as error:
            validate(document, Settings)  # what is wrong in the file is said with its line
            lines = []
            for found in error.errors(include_url=False):
                name = PREFIX + "__".join(str(step).upper() for step in found["loc"])
                lines.append(f"{name}: {found['msg']}{shown_input(found['loc'], found['input'])}")
            raise BadConfiguration("the environment sets what cannot be:\n" + "\n".join(lines)) from error
    for setting, url in (("database.url", settings.database.url), ("register.url", settings.visitor_register.url)):
        try:
            parse_url(url, setting)
        except BadConfiguration as error:
            raise BadConfiguration(f"{file}: {error}") from None
    return _anchored(settings, file.parent)


def _overrides(environment: dict[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in sorted(environment.items()):
        if not name.startswith(PREFIX):
            continue
        steps = name.removeprefix(PREFIX).lower().split("__")
        known = [field.alias or named for named, field in Settings.model_fields.items()]
        if steps[0] not in known:
            raise BadConfiguration(f"{name}: there is no setting '{steps[0]}'; there are {', '.join(known)}")
        if value.startswith("file:"):
            # A secret as a file (a container's /run/secrets) never stands in the environment itself.
            try:
                value = Path(value.removeprefix("file:")).read_text(encoding="utf-8").strip()
            except (OSError, ValueError) as error:
                raise BadConfiguration(f"{name}: the file cannot be read: {error}") from error
        here = made
        for step in steps[:-1]:
            here = here.setdefault(step, {})
            if not isinstance(here, dict):
                raise BadConfiguration(f"{name}: '{step}' is set as a whole, too; leave one of the two out")
        here[steps[-1]] = value
    return made


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        here = merged.get(name)
        merged[name] = _merged(here if isinstance(here, dict) else {}, value) if isinstance(value, dict) else value
    return merged


def _anchored(settings: Settings, folder: Path) -> Settings:
    """The same settings with every relative path made absolute."""
    url, register_url = _placed(settings.database.url, folder), _placed(settings.visitor_register.url, folder)
    if url == register_url:
        raise BadConfiguration(
            f"register.url {shown_url(register_url)} is database.url: the register stands in a database of its own"
        )
    key_file = (folder / settings.visitor_register.key_file).resolve()
    history = settings.history
    if isinstance(history, ParquetSettings):
        history = history.model_copy(update={"folder": (folder / history.folder).resolve()})
    return settings.model_copy(
        update={
            "catalogue": (folder / settings.catalogue).resolve(),
            "rules": (folder / settings.rules).resolve(),
            "duties": (folder / settings.duties).resolve(),
            "people": (folder / settings.people).resolve(),
            "dormitories": (folder / settings.dormitories).resolve(),
            "broker": settings.broker.placed(folder.resolve()),
            "journal": settings.journal.model_copy(update={"path": (folder / settings.journal.path).resolve()}),
            "database": settings.database.model_copy(update={"url": url}),
            "history": history,
            "reports": settings.reports.model_copy(update={"folder": (folder / settings.reports.folder).resolve()}),
            "watch": settings.watch.model_copy(
                update={
                    name: None if at is None else (folder / at).resolve()
                    for name, at in (("pki", settings.watch.pki), ("backups", settings.watch.backups))
                }
            ),
            "visitor_register": settings.visitor_register.model_copy(
                update={"url": register_url, "key_file": key_file}
            ),
        }
    )


def _placed(url: str, folder: Path) -> str:
    if url.startswith("sqlite:///") and not url.startswith("sqlite:////") and ":memory:" not in url:
        return f"sqlite:///{(folder / url.removeprefix('sqlite:///')).resolve()}"
    return url
