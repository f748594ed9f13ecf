"""B1, B2, B3 and B6: what each runs, and how its windows become rows."""
