"""Adapters to Kafka: the only room of the dispatcher that knows aiokafka."""
