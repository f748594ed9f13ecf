"""The governor's cores for limits: pure state machines that never overshoot, whatever the log does."""
