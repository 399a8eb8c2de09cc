"""A gateway runs on a small box: neither numpy nor any server package is there."""

from __future__ import annotations

import subprocess
import sys

ABSENT = ("numpy", "pyarrow", "duckdb", "fastapi", "sqlalchemy", "prometheus_client", "influxdb_client", "pymodbus")


def test_the_gateway_needs_neither_numpy_nor_the_server_packages() -> None:
    code = f"import sys\nfor name in {ABSENT!r}: sys.modules[name] = None\nimport gateway.__main__"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
