"""Benchmarks: `make bench` runs them all; each is a module that prints what it measured and against what."""
