"""Benchmarks: figures with their ceilings from the same run."""
