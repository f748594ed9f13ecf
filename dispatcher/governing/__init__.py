"""The governor's process: a shell around the cores in `dispatcher.governor`, which do no I/O."""
