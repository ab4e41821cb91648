"""Adapters: the laws of the port over each of them, the limiter, the edge."""
