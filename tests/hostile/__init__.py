"""Hostile input: what strangers, friends gone mad and files may hold, and where values must never show."""
