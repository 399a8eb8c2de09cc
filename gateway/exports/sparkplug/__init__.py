"""Sparkplug B: the gateway as an edge node."""
