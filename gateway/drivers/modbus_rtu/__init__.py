"""Modbus RTU: meters, level and rain sensors on a serial line."""
