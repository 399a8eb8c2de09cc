"""A bundle in a Debian of its own that has no network: installed, upgraded and taken back, under its own systemd."""
