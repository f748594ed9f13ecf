"""Imported by Python itself at its start, from PYTHONPATH: patches a role before it runs.

HEADRACE_TEST_PATCHES names modules, each with `ROLE` (the command of the role) and `apply()`. A role
that cannot be patched ends at once: unpatched, it would pass for a mutant that nobody noticed.
"""

import importlib
import os
import sys
import traceback


def patch(name: str) -> None:
    """Apply one module if it is for this role."""
    module = importlib.import_module(name)
    if module.ROLE in sys.orig_argv:
        module.apply()


for name in filter(None, os.environ.get("HEADRACE_TEST_PATCHES", "").split(",")):
    if "headrace.cli.main" in sys.orig_argv:
        try:
            patch(name)
        except Exception:  # noqa: BLE001 - whatever it is, Python would report it and go on
            traceback.print_exc()
            os._exit(70)
