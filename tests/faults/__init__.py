"""What is done to a running installation on purpose, and how it is judged what held."""
