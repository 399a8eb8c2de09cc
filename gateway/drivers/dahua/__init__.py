"""Dahua terminals by their event stream over HTTP."""
