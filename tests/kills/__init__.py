"""Real processes killed under load; what was promised must be there once, and every alarm told once. `make kills`."""
