"""Writes to the CRM, each with its intent; and what became of those whose answer never came."""
