"""Histories of a run, and the checker that judges them against the promises P1 to P15.

How it works. `driver` sends mixed traffic and appends what each client lived through to
`clients.jsonl` (`events`); whoever injects faults appends those too. The mock upstream writes its own
log of every call. Once every role has stopped, `dump` reads the topics and every commit of the groups.
`folder` loads the three sources, which know nothing of each other; `check` asks each promise, and
prints a table.

    python3 dev.py check-history FOLDER          judge what a run has left behind
    python3 dev.py history --requests 3000       make a clean run, and judge it
"""
