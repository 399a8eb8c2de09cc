"""Modbus without a carrier: what both the serial line and TCP carry, and register maps as data."""
