"""`headrace breaker show | force | reset | mode | history`: what is left alone, why, and who said so."""
