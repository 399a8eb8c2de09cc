"""Hikvision terminals and thermal cameras that push to us."""
