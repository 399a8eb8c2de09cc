"""Hikvision terminals and thermal cameras by ISAPI: their alert stream, and a search for what was missed."""
