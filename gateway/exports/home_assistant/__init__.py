"""Home Assistant: devices that discover themselves, and their values."""
