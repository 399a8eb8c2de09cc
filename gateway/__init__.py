"""The edge: drivers read devices, the spool keeps what they read until the core says that it has it."""
