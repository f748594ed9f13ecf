"""The ingress service: HTTP in, Kafka records out, answers back."""
