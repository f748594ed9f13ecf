"""Breakers as a dispatcher obeys them: the owner's rows, what this process saw itself, what it tells."""
