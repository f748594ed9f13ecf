"""`headrace dlq list | show | replay | purge`: what could not succeed, looked at and given another chance.

How it works. `shelf` reads `dead-letters` from one offset to the end it had at the start, through a
consumer without a group, and hands over one record at a time. `selection` (no I/O) remembers which
letters were asked for, in bounded memory, and learns from marks which were replayed; a mark comes after
its letter, so one pass is enough. `replay` reads the chosen letters once more, now with their values,
and writes each to its lane and then its mark. `purge` has Kafka delete a topic's beginning.
"""
