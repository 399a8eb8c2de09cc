"""Modbus TCP: registers of meters and level sensors, polled."""
