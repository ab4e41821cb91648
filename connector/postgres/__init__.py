"""A PostgreSQL server of our own, for the demo and for tests on machines without one.

Lives here: finding the server's binaries, making, starting, adopting and stopping a cluster. Not here: SQL, schemas,
anything a production database needs. Blocking calls only: run it before the event loop or in a thread.
May import ``ports``, ``obs``, ``core``.
"""
