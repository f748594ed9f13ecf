"""Adapters that call the models: the only room that opens connections to an upstream."""
