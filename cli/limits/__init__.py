"""`headrace limits`: what configured limits would do."""
