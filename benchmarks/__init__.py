"""Measures Headrace against the floor of its own stack: `make bench`.

How it works: one real Kafka, one upstream that is not the bottleneck, and two *stacks* run at
the same time as real processes: the bare loop (`bare/`, the least that this stack can do) and
the product. A generator in a process of its own (`load/`) loads them one after the other in
windows, so that a slow minute of the machine hits both. `harness/` starts all of it and reads
the CPU and the memory of each process at the edges of a window. `measures/` turns windows into
rows with a bar, and `report/` prints, writes and draws them. A window with a failed request is
invalid. Only ratios and added times are judged; absolute figures are printed.
"""
