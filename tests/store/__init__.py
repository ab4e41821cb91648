"""The schema ``connector``."""
