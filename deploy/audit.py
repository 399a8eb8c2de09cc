"""`make audit`: is everything shipped under a licence that allows it, and is anything in it known to be vulnerable?

Leaves with 0 when it is and nothing is, 1 when something was found, 2 when somebody who had to be asked did not answer: what
was not looked at is never called well. (pip-audit itself says "no known vulnerabilities" then, and leaves with 0.)
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.licences import ROOT, of_lock, of_screens

_SERVER = ROOT / "requirements/server.txt"


@dataclass
class Answer:
    """What a service of advisories said of a list of packages."""

    asked: str
    looked_at: int = 0
    found: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)  # why something was not looked at


def of_pip_audit(said: str) -> Answer:
    """By what `pip-audit --format json` printed; nothing, when it could not even begin."""
    answer = Answer("Python packages (pip-audit)")
    try:
        packages: list[dict[str, Any]] = json.loads(said)["dependencies"]
    except (ValueError, LookupError):
        answer.unknown.append("pip-audit gave no answer")
        return answer
    for package in packages:
        if "skip_reason" in package:
            answer.unknown.append(package["skip_reason"])
            continue
        answer.looked_at += 1
        for one in package["vulns"]:
            mended = ", ".join(one["fix_versions"]) or "nothing yet"
            answer.found.append(f"{package['name']} {package['version']}: {one['id']}, mended in {mended}")
    return answer


def of_npm_audit(said: str) -> Answer:
    """By what `npm audit --json` printed."""
    answer = Answer("packages of the screens (npm audit)")
    try:
        document: dict[str, Any] = json.loads(said)
        answer.looked_at = document["metadata"]["dependencies"]["prod"]
        found: dict[str, Any] = document["vulnerabilities"]
    except (ValueError, LookupError):
        lines = said.split('"message": "', 1)
        answer.unknown.append(lines[1].split('"')[0] if len(lines) == 2 else "npm gave no answer")
        return answer
    answer.found += [f"{name}: {one['severity']}" for name, one in sorted(found.items())]
    return answer


def status(answers: list[Answer], forbidden: list[str]) -> int:
    """What to leave with."""
    if forbidden or any(answer.found for answer in answers):
        return 1
    return 2 if any(answer.unknown or not answer.looked_at for answer in answers) else 0


def main() -> int:
    """Ask, and print what was said."""
    shipped = [*of_lock(_SERVER), *of_screens()]
    forbidden = [f"{one.name} {one.version}: {one.licence}" for one in shipped if not one.is_allowed]
    _print(f"licences: {len(shipped)} packages, {len(forbidden)} that may not be shipped", forbidden)
    pip_audit = [
        str(ROOT / ".release/bin/pip-audit"),
        "--disable-pip",
        "--require-hashes",
        "--requirement",
        str(_SERVER),
    ]
    npm_audit = ["npm", "audit", "--omit", "dev", "--json"]
    answers = [
        of_pip_audit(_said([*pip_audit, "--format", "json", "--progress-spinner", "off"], ROOT)),
        of_npm_audit(_said(npm_audit, ROOT / "web")),
    ]
    for answer in answers:
        _print(f"{answer.asked}: {answer.looked_at} looked at, {len(answer.found)} vulnerabilities", answer.found)
        if answer.unknown:
            why = f"NOT LOOKED AT: {len(answer.unknown)}; the service of advisories could not be asked, or does not know them"
            _print(why, answer.unknown[:3])
    return status(answers, forbidden)


def _said(command: list[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True).stdout


def _print(line: str, below: list[str]) -> None:
    print("\n    ".join([line, *below]))  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
