"""How secrets of people are kept."""

from argon2 import PasswordHasher

from api.people.hashing import hashed, is_right


def test_a_hash_costs_a_thief_as_much_as_is_advised(cheap_hashes: PasswordHasher) -> None:
    # OWASP's Password Storage Cheat Sheet: Argon2id with at least 19 MiB and two passes.
    assert cheap_hashes.type.name == "ID"
    assert cheap_hashes.memory_cost >= 19 * 1024
    assert cheap_hashes.time_cost >= 2


def test_a_secret_is_known_again_and_nobodys_is_never_right() -> None:
    kept = hashed("4071")
    assert kept != hashed("4071")
    assert is_right(kept, "4071")
    assert not is_right(kept, "4072")
    assert not is_right(None, "nobody")
