"""The keys of the register: what is sealed is opened by its own key in its own row, and a lost one is told of."""

import stat
from pathlib import Path
from typing import Any

import pytest

from api.register.keys import Keys
from telemetry.errors import BadConfiguration, Unavailable


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    made = Keys(tmp_path / "keys" / "register.key")
    made.make(1000)
    return made


def test_the_file_is_its_owners_alone(keys: Keys) -> None:
    assert stat.S_IMODE(keys.file.stat().st_mode) == 0o600
    keys.rotate(2000)
    assert stat.S_IMODE(keys.file.stat().st_mode) == 0o600
    keys.file.chmod(0o640)
    with pytest.raises(Unavailable, match="chmod 600"):
        Keys(keys.file).all()


def test_a_file_that_is_there_is_never_overwritten(keys: Keys) -> None:
    before = keys.file.read_bytes()
    with pytest.raises(BadConfiguration):
        keys.make(2000)
    assert keys.file.read_bytes() == before
    assert list(keys.file.parent.iterdir()) == [keys.file]


def test_what_is_sealed_opens_in_its_own_row_only_and_not_when_a_bit_is_changed(keys: Keys) -> None:
    key, sealed = keys.seal("row-1", b"Zhang")
    assert b"Zhang" not in sealed
    assert keys.open("row-1", key, sealed) == b"Zhang"
    assert keys.open("row-2", key, sealed) is None
    for at in range(len(sealed)):
        assert keys.open("row-1", key, sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]) is None


def test_two_of_the_same_do_not_look_the_same(keys: Keys) -> None:
    assert keys.seal("row-1", b"Zhang")[1] != keys.seal("row-1", b"Zhang")[1]


def test_old_keys_open_after_a_rotation_and_a_running_reader_learns_of_the_new_one(keys: Keys) -> None:
    running = Keys(keys.file)
    old, sealed = running.seal("row", b"Zhang")
    new = keys.rotate(2000)
    assert running.seal("row", b"Li")[0] == new.id != old
    assert running.open("row", old, sealed) == b"Zhang"


def test_what_is_sealed_while_another_thread_learns_of_a_new_key_is_opened(keys: Keys) -> None:
    class Busy(Keys):
        def __getattribute__(self, name: str) -> Any:
            if name == "_ciphers" and len(keys.all()) == 1:
                keys.rotate(2000)
                self.all()  # as another thread does
            return super().__getattribute__(name)

    sealed_with, sealed = Busy(keys.file).seal("row", b"Zhang")
    assert keys.open("row", sealed_with, sealed) == b"Zhang"


@pytest.mark.parametrize("text", ["", "x", "a 1 AAAA\n", "a one AAAA\n"])
def test_a_file_that_holds_no_keys_is_told_of(keys: Keys, text: str) -> None:
    keys.file.write_text(text)
    with pytest.raises(Unavailable, match="put"):
        Keys(keys.file).all()
