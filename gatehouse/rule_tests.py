"""`gatehouse rules test`: files of tests, with the rules and catalogue that they name."""

from __future__ import annotations

from pathlib import Path

from alerts.rule_tests import Outcome, RuleTestFile, run_case
from alerts.rules import RuleFile
from telemetry.catalogue import Catalogue
from telemetry.declaration import read_document, validate
from telemetry.errors import BadConfiguration


def run_file(file: Path) -> list[Outcome]:
    """Play every test of a file. Raises BadConfiguration for what is wrong in it."""
    declared = validate(read_document(file), RuleTestFile)
    given = (
        [RuleFile(rules=declared.rules)] if isinstance(declared.rules, tuple) else _read(file.parent / declared.rules)
    )
    rules = tuple(rule for each in given for rule in each.rules)
    schedules = (*declared.schedules, *(schedule for each in given for schedule in each.schedules))
    if declared.only is not None:
        unknown = set(declared.only) - {rule.id for rule in rules}
        if unknown:
            raise BadConfiguration(f"{file}: only: there is no rule {', '.join(sorted(unknown))}")
        rules = tuple(rule for rule in rules if rule.id in declared.only)
    for rule in rules:
        if rule.schedule is not None and rule.schedule not in {schedule.id for schedule in schedules}:
            raise BadConfiguration(
                f"{file}: rule '{rule.id}' calls people by schedule '{rule.schedule}', and there is none: declare it under "
                "'schedules'"
            )
    if isinstance(declared.catalogue, str):
        catalogue = Catalogue.load(file.parent / declared.catalogue)
    else:
        catalogue = Catalogue.model_validate(declared.catalogue.model_dump())
    return [run_case(case, rules, catalogue, schedules) for case in declared.tests]


def _read(path: Path) -> list[RuleFile]:
    """A file, or every file of a folder."""
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    return [validate(read_document(file), RuleFile) for file in files]
