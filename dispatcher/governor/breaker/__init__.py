"""The breaker of a deployment: evidence by start second, rules, states, probes. No I/O."""
