"""Rules without I/O: values and `now` in, a verdict out."""
