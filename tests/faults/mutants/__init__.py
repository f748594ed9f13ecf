"""Mutants of the product: each is a fault that a programmer could make, and the checker must see it.

How it works. A `Scenario` is a short run of real processes on a real Kafka with the right fault
injected. It runs once as the product is, and must be clean; then once for each `Mutant` of it, and must
not be. A mutant is a module of this package: its `apply` patches the product's classes when a role
starts (`hook/sitecustomize.py`, named by the environment). What is injected into both runs, as a slow
broker, is a module of `injected` and works the same way.

    python3 dev.py mutants [NAME ...]
"""
