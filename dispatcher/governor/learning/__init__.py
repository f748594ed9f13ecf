"""What upstreams tell of their limits, by headers, 429s and latency. No I/O."""
