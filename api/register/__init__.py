"""The visitor temperature register: a store of its own, people sealed with a key outside it (docs/register.md)."""
