"""The contract every room shares: records, topics, lanes, errors, configuration. No I/O."""
