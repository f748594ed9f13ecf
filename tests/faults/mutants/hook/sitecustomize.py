"""Imported by Python itself at its start, from PYTHONPATH: patches a role before it runs.

HEADRACE_TEST_PATCHES names modules, each with `ROLE` (the command of the role) and `apply()`.
"""

import importlib
import os
import sys

for name in filter(None, os.environ.get("HEADRACE_TEST_PATCHES", "").split(",")):
    if "headrace.cli.main" in sys.orig_argv:
        module = importlib.import_module(name)
        if module.ROLE in sys.orig_argv:
            module.apply()
