"""Logs and metrics: how the process tells what it does.

Lives here: structlog set-up, the redaction rules, every metric's name. Not here: values of records, decisions.
May import ``core``.
"""
