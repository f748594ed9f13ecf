"""Child processes that never outlive this one.

A `Lifeline` starts children in sessions of their own (a Ctrl-C in the terminal reaches only
the parent, which stops them in its own order) and lists them to a small reaper process that
ends them if this process is killed. Portable to Linux and macOS; a parent-death signal would
be Linux only and follows the thread, not the process.
"""

from headrace.cli.lifeline.lifeline import Child, Lifeline

__all__ = ["Child", "Lifeline"]
