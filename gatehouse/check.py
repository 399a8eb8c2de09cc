"""Looks through a whole configuration without starting anything, and names every mistake at once."""

from __future__ import annotations

from pathlib import Path

from alerts.people import load_people, mistakes_of
from alerts.program import compile_rules
from alerts.rules import load_rule_files
from api.dormitories.building import load_dormitories
from api.duties import load_duties
from gatehouse.anchor import mistakes_of_anchor
from gatehouse.settings import load_settings
from telemetry.catalogue import Catalogue
from telemetry.errors import BadConfiguration
from telemetry.series import ONLINE, SeriesRegistry


def check_configuration(file: Path) -> tuple[str, list[str]]:
    """(what is declared, every mistake as FILE:LINE: FIELD: what to do)."""
    try:
        settings = load_settings(file)
        catalogue = Catalogue.load(settings.catalogue)
        declared = load_rule_files(settings.rules, catalogue)
        rules = declared.rules
        people = load_people(settings.people)
        houses = load_dormitories(settings.dormitories, catalogue)
        load_duties(settings.duties, catalogue)
        names = list(catalogue.metric)
        names += [(gateway.id, ONLINE) for gateway in catalogue.gateways]
        program = compile_rules(rules, catalogue, SeriesRegistry(names), declared.schedules)
    except BadConfiguration as error:
        return "", str(error).splitlines()
    missing = [
        f"{settings.rules}: rule '{rule.id}' notifies '{channel}', which is not among 'channels' in {file}"
        for rule in rules
        for channel in rule.notify
        if channel not in settings.channels
    ]
    routes = [(rule.id, rule.route) for rule in rules]
    missing += [f"{file}: {said}" for said in mistakes_of(people, routes, settings.channels)]
    missing += [f"{file}: {said}" for said in mistakes_of_anchor(settings.audit.anchor, settings.channels, people)]
    beat = settings.heartbeat
    if beat is not None and (beat.device, beat.metric) not in names:
        missing.append(f"{file}: heartbeat: there is no series '{beat.device}/{beat.metric}'")
    told = f", {len(people.people)} people on {len(people.routes)} routes" if people.people else ""
    if houses.buildings:
        told += f", {len(houses.buildings)} dormitories with {len(houses.tariffs)} tariffs"
    watched = {series for concerned in program.concerned for series in concerned.tolist()}
    explained = [
        f"  {rule.id}: {len(concerned)} series" + ("" if len(concerned) else "; it concerns nothing")
        for rule, concerned in zip(rules, program.concerned, strict=True)
    ]
    alone = ["/".join(name) for number, name in enumerate(program.names) if number not in watched]
    if alone:
        explained.append(f"  no rule looks at {len(alone)} series: {', '.join(alone[:20])}{' …' if alone[20:] else ''}")
    summary = (
        f"{file}: {len(catalogue.sites)} sites, {len(catalogue.devices)} devices, {len(names)} series, "
        f"{len(rules)} rules on {len(program.keys)} limits{told}: no mistakes"
    )
    return "\n".join([summary, *explained]), missing
