"""Faults that are injected into a role's Kafka client, with and without a mutant."""
