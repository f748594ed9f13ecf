"""Real processes, real brokers, and the means to hurt them; what `cases` are played on."""
