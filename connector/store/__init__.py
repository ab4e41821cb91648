"""Schema ``connector``: migrations, links, work, events, mirror, intents, journal, cursors, metadata.

Lives here: SQL on our own schema. Not here: the app's tables (``local``), decisions, network calls.
May import ``ports``, ``obs``, ``core``.
"""
