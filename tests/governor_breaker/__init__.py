"""The breaker, cooldowns and learning of the governor."""
