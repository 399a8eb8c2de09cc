"""`gatehouse init` where there is nothing yet: six questions, and a district that starts from the answers.

Written are the configuration with a comment on everything somebody may want to change, a catalogue with a gateway for each
compound, the rules of the demonstration, certificates for everybody, and the broker's folder. Nothing that exists is touched,
and of what fails half-way nothing stays.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gatehouse.access import write_broker
from gatehouse.check import check_configuration
from gatehouse.identities import make
from gatehouse.pki import put
from gatehouse.settings import load_settings
from telemetry.catalogue import Name
from telemetry.clock import Clock
from telemetry.declaration import read_document, validate
from telemetry.errors import BadConfiguration

_DISTRICT = Path(__file__).parent / "district"
_RULES = ("system.yaml", "gates.yaml", "drains.yaml", "dormitory.yaml")
_NEW = ("catalogue", "rules", "pki", "broker")
_DECLARED = ("catalogue", "rules", "people", "duties", "dormitories")
_COMPOUND_MAX = 60  # of a name's 63 characters "gw-" takes three
_PORT = 8883


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("there is no such time zone; write one like Asia/Shanghai")
    return name


def _host(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?", name):
        raise ValueError("write a name or an address, without a port, like broker.site or 10.0.0.1")
    return name


def _store(answer: str) -> str:
    if answer != "parquet" and not re.fullmatch(r"https?://[^\s\"'{}]+", answer):
        raise ValueError("write parquet, or the address of an InfluxDB 2 like http://localhost:8086")
    return answer


def _folder(answer: str) -> str:
    if not answer or re.search(r"[\n\"'{}#]", answer):
        raise ValueError("write a folder, without quotes")
    return answer


def _compounds(names: tuple[str, ...]) -> tuple[str, ...]:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(twice)}: twice; a name is one compound's")
    if long := [name for name in names if len(name) > _COMPOUND_MAX]:
        raise ValueError(f"{long[0]}: write at most {_COMPOUND_MAX} characters; its gateway is named after it")
    return names


class Answers(BaseModel):
    """What only the operator knows; `--answers FILE` is this as YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    compounds: Annotated[tuple[Name, ...], Field(min_length=1), AfterValidator(_compounds)]
    timezone: Annotated[str, AfterValidator(_zone)] = "Asia/Shanghai"
    broker: Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], Field(min_length=1)]
    history: Annotated[str, AfterValidator(_store)] = "parquet"
    backups: Annotated[str, AfterValidator(_folder)] = "backups"
    administrator: Name = "admin"


_QUESTIONS = {
    "compounds": "1/6 Short names of the compounds (a-z, 0-9, -), separated by commas",
    "timezone": "2/6 Their time zone",
    "broker": "3/6 By which names and addresses gateways will reach the broker, separated by commas",
    "history": "4/6 Where readings are kept: parquet (files on this machine), or the address of an InfluxDB 2",
    "backups": "5/6 The folder that backups are made into, best on another disk",
    "administrator": "6/6 The first administrator's name",
}


def read_answers(file: Path) -> Answers:
    """From a file. Raises BadConfiguration naming file, line and field."""
    return validate(read_document(file), Answers)


def ask(prompt: Callable[[str, str], str], say: Callable[[str], None]) -> Answers:
    """On a terminal; what cannot be is asked again.

    Args:
        prompt: (question, what it is when nothing is typed) -> answer.
        say: Shows what is wrong with an answer.
    """
    usual = {name: field.default for name, field in Answers.model_fields.items()}
    usual |= {"compounds": "compound-1", "broker": socket.gethostname()}
    given: dict[str, Any] = {}
    for name, question in _QUESTIONS.items():
        field = Answers.model_fields[name]
        many = name in ("compounds", "broker")
        wanted: Any = Annotated[(field.annotation, *field.metadata)]
        checked: TypeAdapter[Any] = TypeAdapter(wanted)
        while name not in given:
            answer = prompt(question, str(usual[name])).strip()
            try:
                given[name] = checked.validate_python([one.strip() for one in answer.split(",")] if many else answer)
            except ValidationError as error:
                say(f"'{answer}': {error.errors()[0]['msg'].removeprefix('Value error, ')}")
    return Answers(**given)


def write_district(config: Path, answers: Answers, clock: Clock) -> list[str]:
    """Everything that a core needs to start; what was written, a line each. Raises BadConfiguration."""
    folder = config.parent.resolve()
    for there in (config, *(folder / name for name in _NEW)):
        if there.exists():
            raise BadConfiguration(f"{there} exists already: init writes into an empty folder")
    with whole_or_nothing(config):
        try:
            for name in _DECLARED:
                (folder / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(_DISTRICT / "catalogue" / "kinds.yaml", folder / "catalogue")
            (folder / "catalogue" / "district.yaml").write_text(_catalogue(answers), encoding="utf-8")
            for name in _RULES:
                shutil.copy(_DISTRICT / "rules" / name, folder / "rules")
            put(config, _configuration(answers).encode(), 0o640)
        except OSError as error:
            raise BadConfiguration(f"{folder} cannot be written: {error}") from error
        summary, mistakes = check_configuration(config)
        if mistakes:  # the environment is laid over what was written
            raise BadConfiguration("\n".join(mistakes))
        settings = load_settings(config, {})
        done = [f"{config}: the configuration", summary.splitlines()[0]]
        done += make(settings, folder / "pki", answers.broker, clock)
        done += write_broker(settings, folder / "pki", folder / "broker", folder / "broker", _PORT, "")
    return done


@contextlib.contextmanager
def whole_or_nothing(config: Path) -> Iterator[None]:
    """What `write_district` writes goes again when what is done here fails: it would stand in the way of the next try."""
    folder = config.parent.resolve()
    made = [place for place in (config, *(folder / name for name in {*_NEW, *_DECLARED})) if not place.exists()]
    is_new = not folder.exists()
    try:
        yield
    except BaseException:  # whoever breaks it off begins anew, too
        for place in made:
            shutil.rmtree(place, ignore_errors=True) if place.is_dir() else place.unlink(missing_ok=True)
        if is_new:
            with contextlib.suppress(OSError):  # what else came to be there, a database, is in nobody's way
                folder.rmdir()
        raise


def _catalogue(answers: Answers) -> str:
    sites = "".join(
        f"  - {{id: {_quoted(one)}, name: {{en: {_quoted(one)}, zh: {_quoted(one)}}}, timezone: {answers.timezone}}}\n"
        for one in answers.compounds
    )
    gateways = "".join(
        f"  - {{id: gw-{one}, name: {{en: Gateway of {one}, zh: {one} 网关}}, site: {_quoted(one)}}}\n"
        for one in answers.compounds
    )
    return (
        "# The compounds and their gateways. Names are shown to people: write them as people say them.\n"
        f"sites:\n{sites}\ngateways:\n{gateways}\n"
        "# Places (gates, manholes, rooms) and devices follow; docs/configuration.md has the fields, and\n"
        "# `gatehouse gateway probe` writes the entries of the devices that it finds on a line.\n"
    )


def _quoted(text: str) -> str:
    """As YAML, which would take `no`, `10` and much else for something other than text."""
    return "'" + text.replace("'", "''") + "'"


def _configuration(answers: Answers) -> str:
    if answers.history == "parquet":
        history = "history: {store: parquet, folder: data/history}"
    else:
        token = os.environ.get("GATEHOUSE_INFLUXDB_TOKEN") or secrets.token_urlsafe(32)
        history = f"history: {{store: influxdb, url: {_quoted(answers.history)}, token: {_quoted(token)}}}"
    return f"""\
# One district's server, written by `gatehouse init`. Every setting: docs/configuration.md. Paths count from this file.
# After a change: gatehouse check --config THIS-FILE, then start core and API again.

# What there is, and what is alarming.
catalogue: catalogue
rules: rules

# Who is told, by which channel, in which order: docs/notices.md.
people: people
# channels:
#   duty: {{type: dingtalk, url: 'https://…', secret: '…'}}
#   outside: {{type: webhook, url: 'https://watchdog.example/ping/…', heartbeat: true}}
# A dead man's switch, docs/watching.md:
# heartbeat: {{device: …, metric: …}}

# The broker. Its own configuration is in the folder `broker`, certificates of everybody in `pki`: docs/security.md.
# pki/ca.pem can make anybody: when all are made, keep it off this machine.
broker:
  host: {_quoted(answers.broker[0])}
  port: {_PORT}
  tls: {{ca: pki/ca.crt, certificate: "pki/{{client_id}}.pem"}}

# The core's log of all that came in, trimmed past this size once every reader has seen it.
journal: {{path: data/journal, keep_mb: 2000}}
# Alarms, users, audit. PostgreSQL: postgresql+psycopg://gatehouse@localhost/gatehouse
database: {{url: "sqlite:///data/gatehouse.db"}}
# Readings and their sums. keep_raw_days and keep_rollup_days say for how long; for ever when not given.
{history}
# The visitor register: a database and a key of its own. Keep a copy of the key safe, apart from backups: docs/register.md.
register: {{url: "sqlite:///data/register.db", key_file: keys/register.key}}

# Screens and API, for a TLS proxy on this machine (then set is_behind_https: true), or 0.0.0.0 for all addresses.
api: {{host: 127.0.0.1, port: 8080}}
# /metrics and /health of the core; deploy/prometheus has what to scrape.
metrics: {{host: 127.0.0.1, port: 9108}}

# When the core says that something is wrong with this machine: docs/watching.md.
watch:
  disk_free_percent: 10
  certificate_days: 30
  pki: pki
  backups: {_quoted(answers.backups)}
  backup_hours: 26
  # expects_ntp: true      # where NTP sets this machine's clock
"""
