"""The description of the API as a file, without a district; `make types` calls this and keeps what comes of it in the tree.

python -m gatehouse.openapi                 the document, to standard output
python -m gatehouse.openapi --seal FILE     FILE was generated from it: say so on its last line, for the test that looks
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import cast

from api.app import make_app
from api.parts import Parts


def text() -> str:
    """What `GET /api/v1/openapi.json` answers anywhere, for it depends on the routes alone; as it is committed."""
    document = make_app(cast(Parts, None)).openapi()
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def seal(document: str, generated: str) -> str:
    """A line that holds for this text and for the document that it was generated from, and for no others."""
    return f"// {hashlib.sha256((document + generated).encode()).hexdigest()}\n"


def main(arguments: list[str]) -> None:
    """As said above."""
    if not arguments:
        sys.stdout.write(text())
        return
    file = Path(arguments[1])
    generated = file.read_text(encoding="utf-8")
    file.write_text(generated + seal(text(), generated), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
