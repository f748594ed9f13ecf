"""A fleet on virtual time: real owners and holders, a log that misbehaves, an upstream that counts.

How it works. `clock` is a heap of events in whole milliseconds; a seed decides everything, so a run repeats
bit for bit. `log` is a partition that delays, loses, repeats and stalls. `governor` and `dispatcher` are
the thin shells that processes have around `Contest`, `Owner` and `Holder`; they can be killed, frozen and
cut off. `upstream` counts what arrives, by the true time. `witness` knows everything and checks at every
event what must hold. `story` draws traffic and faults, `run` plays them.
"""
