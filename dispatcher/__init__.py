"""The dispatcher: reads lanes, calls upstreams, settles outcomes."""
