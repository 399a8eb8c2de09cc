"""Top floor: the `gatehouse` command, which puts the parts together."""
