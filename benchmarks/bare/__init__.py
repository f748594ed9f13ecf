"""The bare loop: HTTP -> Kafka -> upstream -> Kafka -> HTTP, and nothing else.

It promises nothing: no keys, limits, journal, retries, deadlines or metrics. What it costs is
what the stack itself costs, so the product is measured as a multiple of it. Keep it as it is:
a faster or slower floor makes old figures worthless.
"""
