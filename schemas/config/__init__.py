"""The configuration: its model (what may be said) and its loader (how it is read)."""
