"""Sparkplug B as bytes and topics, for whoever listens to it and whoever speaks it."""
