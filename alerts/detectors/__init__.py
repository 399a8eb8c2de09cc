"""Detectors: pure functions from the last readings of a series to the one number that a rule's limits are about."""
