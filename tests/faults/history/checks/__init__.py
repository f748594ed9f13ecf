"""One module a promise: a pure function from the evidence to violations."""
