"""Who may call which upstream when: limits, breakers, cooldowns, pauses. The cores do no I/O."""
