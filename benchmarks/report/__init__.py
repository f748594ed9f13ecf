"""Turns results into rows with a bar, a table, a file and plots."""
