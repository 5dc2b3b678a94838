"""Benchmarks: ratios to a peer measured in the same run, each with a parity guard (`make bench`)."""
