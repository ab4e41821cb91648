"""The app's own tables: catalogue, capture triggers, reading and writing rows in a given transaction.

Lives here: SQL on tables that are not ours. Not here: schema ``connector`` (``store``), deciding what to write.
May import ``ports``, ``obs``, ``core``.
"""
