"""What people and machines see: the HTTP interface, log-in, live events, and the screens."""
