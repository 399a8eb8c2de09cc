"""IEC 62056-21 mode C: meters that tell all their registers after a handshake."""
