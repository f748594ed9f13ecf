"""`headrace topics plan | apply`: the topics as they are, made to be as the configuration says.

Idempotent. Nothing is deleted and nothing shrinks: a setting whose change would drop records
or partitions is left alone and shown as kept. `plan` decides (pure), `admin` talks to Kafka,
`show` prints, `command` is the command line.
"""
