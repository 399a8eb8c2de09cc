"""The description of the API as a file, without a district: `python -m gatehouse.openapi > docs/api/openapi.json`."""

from __future__ import annotations

import json
import sys
from typing import Any, cast

from api.app import make_app
from api.parts import Parts


def document() -> dict[str, Any]:
    """What `GET /api/v1/openapi.json` answers anywhere: it depends on the routes alone."""
    return make_app(cast(Parts, None)).openapi()


def text() -> str:
    """As it is committed: in the order of the routes."""
    return json.dumps(document(), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
