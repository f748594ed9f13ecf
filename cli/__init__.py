"""The `headrace` command and what serves development: local Kafka, the mock upstream, the demo."""
