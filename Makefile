# Thin aliases; everything is in dev.py, which also works without make.
# Arguments: make test ARGS="-k replies"
PYTHON ?= python3
TARGETS := demo up test test-model check bench bench-governor bench-index bench-keys bench-priority bench-retries bench-scale history check-history mutants simulate faults types lock clean

.PHONY: help $(TARGETS)
help:
	@$(PYTHON) dev.py help

$(TARGETS):
	@$(PYTHON) dev.py $@ $(ARGS)
