"""HTTP towards callers: webhooks, probes, metrics, OAuth, console.

Lives here: authentication, parsing and answering of requests. Not here: syncing; a handler only leaves a note.
May import ``local``, ``store``, ``config``, ``ports``, ``obs``, ``core``; never ``engine``.
"""
