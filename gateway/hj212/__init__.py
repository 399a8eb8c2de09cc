"""HJ 212 as text, for whoever listens to it and whoever reports by it."""
