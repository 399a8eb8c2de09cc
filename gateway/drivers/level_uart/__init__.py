"""Distance sensors with a serial port of their own: binary frames, or lines of text."""
