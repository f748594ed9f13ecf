"""The deterministic simulation of a fleet (T1): real dispatchers on a virtual clock and an in-memory Kafka.

How it works. `clock` is an event loop whose time jumps to the next timer: nothing ever sleeps, and a
seed decides everything. Each task belongs to a *process*; a process can be frozen (none of its callbacks
run) or killed (its clients reach nothing any more, its tasks are dropped). `broker` is a log with groups
and commits, `clients` are doubles of aiokafka's three clients on it, `upstream` a scripted model.
`fleet` runs the dispatcher's own composition root, so that everything above aiokafka is the product.
`story` draws requests and faults from the seed; `check` judges what the log and the upstream saw.

A failing seed prints itself and a digest of all that happened; run again, it does the same.
"""
