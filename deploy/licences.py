"""The licences of everything that is shipped, against those that we may ship. `python -m deploy.licences` prints them.

Python's packages say theirs in their metadata, in one of three ways that followed each other; the screens' stand in
package-lock.json. The texts travel with what they are about: in each wheel, and in the screens' licenses.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).parent.parent

# Everything under these may be passed on with a programme under Apache-2.0, unchanged and beside it.
ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Zlib",
    "MPL-2.0",  # certifi's list of authorities: passed on as it is
    "LGPL-3.0-only",  # psycopg: imported as it is, and anybody may put another in its place
    "any-OSI",  # apsw's word for: whichever approved licence you like
}  # fmt: skip

# What older metadata calls them.
_SPDX = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
    "Apache 2.0": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "ISC License": "ISC",
    "MIT License": "MIT",
}


@dataclass(frozen=True)
class Licensed:
    """One thing that is shipped."""

    name: str
    version: str
    licence: str  # an SPDX expression, or what its metadata says instead

    @property
    def is_allowed(self) -> bool:
        """Every licence that holds beside others, one of those that may be chosen."""
        together = re.split(r"\s+AND\s+", re.sub(r"[()]", " ", self.licence).strip())
        return all(
            any(choice.split(" WITH ")[0].strip() in ALLOWED for choice in re.split(r"\s+OR\s+", part))
            for part in together
        )


def of_lock(lock: Path) -> list[Licensed]:
    """Of the installed packages that a lock names; what another system or Python needs is not installed here."""
    found = []
    for name in sorted(set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", lock.read_text(encoding="utf-8"), re.MULTILINE))):
        try:
            metadata = distribution(name).metadata
        except ModuleNotFoundError:
            continue
        assert isinstance(metadata, Message)
        found.append(_of_metadata(metadata))
    return found


def of_wheels(metadata: Iterable[str]) -> list[Licensed]:
    """Of wheels, by the text of their METADATA."""
    return [_of_metadata(HeaderParser().parsestr(text)) for text in metadata]


def of_screens(lock: Path = ROOT / "web/package-lock.json") -> list[Licensed]:
    """Of the packages that may be in the screens: those that are not only for building or testing them."""
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    return [
        Licensed(path.rpartition("node_modules/")[2], package["version"], package.get("license", "none said"))
        for path, package in packages.items()
        if path and not package.get("dev")
    ]


def table(licensed: Iterable[Licensed]) -> str:
    """As a page."""
    lines = [f"| {one.name} | {one.version} | {one.licence} |" for one in licensed]
    return "\n".join(["| what | version | licence |", "|---|---|---|", *lines, ""])


def _of_metadata(metadata: Message) -> Licensed:
    classified = [_SPDX.get(text, text) for text in metadata.get_all("Classifier", []) if text.startswith("License ::")]
    said = str(metadata.get("License") or "").strip()
    # The whole text of a licence says less than its name.
    named = _SPDX.get(said, said) if said not in ("", "UNKNOWN") and "\n" not in said and len(said) < 60 else ""
    licence = metadata.get("License-Expression") or named or " AND ".join(sorted(set(classified))) or "none said"
    return Licensed(str(metadata["Name"]), str(metadata["Version"]), str(licence))


if __name__ == "__main__":
    shipped = [*of_lock(ROOT / "requirements/server.txt"), *of_screens()]
    print(table(shipped))  # noqa: T201
    for one in shipped:
        if not one.is_allowed:
            raise SystemExit(f"{one.name} {one.version}: {one.licence} is not among those that may be shipped")
