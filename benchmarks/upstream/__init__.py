"""Upstreams that are not the bottleneck: nginx for plain answers, a small server for streams."""
