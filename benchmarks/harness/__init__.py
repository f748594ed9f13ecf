"""Starts everything that is measured, runs windows, and reads what each process used in them."""
