"""Sparkplug B edge nodes, heard as a host application."""
