"""What tests share: waiting with a deadline, a real Kafka, doubles that pass the contract suite."""
