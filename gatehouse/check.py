"""Looks through a whole configuration without starting anything, and names every mistake at once."""

from __future__ import annotations

from pathlib import Path

from alerts.program import compile_rules
from alerts.rules import load_rules
from gatehouse.settings import load_settings
from telemetry.catalogue import Catalogue
from telemetry.errors import BadConfiguration
from telemetry.series import ONLINE, SeriesRegistry


def check_configuration(file: Path) -> tuple[str, list[str]]:
    """(what is declared, every mistake as FILE:LINE: FIELD: what to do)."""
    try:
        settings = load_settings(file)
        catalogue = Catalogue.load(settings.catalogue)
        rules = load_rules(settings.rules, catalogue)
        names = list(catalogue.metric)
        names += [(gateway.id, ONLINE) for gateway in catalogue.gateways]
        program = compile_rules(rules, catalogue, SeriesRegistry(names))
    except BadConfiguration as error:
        return "", str(error).splitlines()
    missing = [
        f"{settings.rules}: rule '{rule.id}' notifies '{channel}', which is not among 'channels' in {file}"
        for rule in rules
        for channel in rule.notify
        if channel not in settings.channels
    ]
    summary = (
        f"{file}: {len(catalogue.sites)} sites, {len(catalogue.devices)} devices, {len(names)} series, "
        f"{len(rules)} rules on {len(program.keys)} limits: no mistakes"
    )
    return summary, missing
