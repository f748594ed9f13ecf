"""`make bench-governor`: whether limits by the minute hold on real processes, and what the governor costs.

How it works. One installation with everything real: a Kafka, eight dispatchers, a governor and its standby,
and an upstream that enforces the same limits with 429. Traffic comes over HTTP at several times what the
limits allow, while owners and dispatchers are killed with SIGKILL. What is judged comes from the
upstream's own log of calls, from a plain consumer of the two topics of the governor, and from the
operating system's accounts of CPU; never from what Headrace says of itself.
"""
