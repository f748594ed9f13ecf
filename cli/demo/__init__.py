"""The demo: a whole installation, 600 requests, a failing upstream, a killed dispatcher, a verdict.

How it works. `run` starts a `Stack` in a temporary folder (`setting` says how it is configured),
`traffic` sends the prompts through the official openai client (`clients`), `crash` kills the
dispatcher that holds the most calls, `show` tells what is seen meanwhile. What was lost or doubled
is then computed from three sources that do not know of each other: what the clients saw, the
upstream's own log, and the records in the topics (`dump`). `check` does that, and is pure.
"""
