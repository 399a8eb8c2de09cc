"""HJ 212 stations that dial in."""
