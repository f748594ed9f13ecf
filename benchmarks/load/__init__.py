"""The load generator: `python -m benchmarks.load JOB` runs one window in a process of its own.

It prints the line `begin` when the measured part begins, `end` when it ends, and then one line
of JSON: the `Outcome`. What happens outside the measured part (connecting, ramping up, the last
answers) is not in the figures, but a failure there makes the window invalid too.
"""
