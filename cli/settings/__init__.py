"""Changing a running installation: pauses, limits, breakers."""
