"""SDI-12: up to 62 sensors on one wire, asked in turn or all at once."""
