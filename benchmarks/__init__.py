"""Benchmarks of this package, compared with other tools that do the same work."""
