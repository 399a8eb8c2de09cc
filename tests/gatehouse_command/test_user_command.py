"""Users from the shell: made, changed, removed; the last administrator stays."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gatehouse.__main__ import app
from telemetry.errors import BadConfiguration, BadInput


def _run(config: Path, *words: str) -> str:
    settings = {"GATEHOUSE_PASSWORD": "a password for tests"}
    result = CliRunner().invoke(app, ["user", *words, "--config", str(config)], env=settings)
    if result.exception is not None:
        raise result.exception
    return result.output


def test_users_are_made_changed_and_removed_and_the_last_administrator_stays(tmp_path: Path) -> None:
    config = tmp_path / "gatehouse.yaml"
    config.write_text(f"database: {{url: 'sqlite:///{tmp_path}/a.db'}}\n")
    (tmp_path / "catalogue").mkdir()
    sites = "sites: [{id: east, name: East}, {id: west, name: West}]\n"
    (tmp_path / "catalogue" / "all.yaml").write_text(sites)
    _run(config, "add", "first", "--role", "administrator")
    _run(config, "add", "li", "--role", "guard", "--site", "east")
    _run(config, "set", "li", "--role", "engineer", "--role", "viewer", "--site", "west")
    listed = _run(config, "list")
    assert listed.splitlines() == ["first: administrator at all sites", "li: engineer at west, viewer at west"]
    for words in (("remove", "first"), ("disable", "first"), ("set", "first", "--role", "viewer")):
        with pytest.raises(BadInput, match="nobody could manage users"):
            _run(config, *words)
    for command, name in (("add", "wu"), ("set", "li")):
        with pytest.raises(BadConfiguration, match="there is no site 'esat' in the catalogue; there are east, west"):
            _run(config, command, name, "--role", "guard", "--site", "esat")
    assert _run(config, "list") == listed
    for unfit in (["nobody", "--new-password"], ["li"], ["li", "--role", "king"]):
        with pytest.raises(BadConfiguration):
            _run(config, "set", *unfit)
    with pytest.raises(BadInput, match="no second factor"):
        _run(config, "set", "li", "--drop-second-factor")
    _run(config, "remove", "li")
    assert _run(config, "list") == listed.splitlines()[0] + "\n"
