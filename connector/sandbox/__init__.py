"""The Pipedrive emulator: a CRM to try against, a process of its own.

Not here: anything the daemon uses. Imports nothing of ours but ``obs``; only ``cli`` imports it.

Reading order, from the pure to the loud: ``model`` (the nouns), ``world`` (the state), ``records`` and the entities
(``persons``, ``deals``, ``activities``, ``pipelines``, ``notes``, ``merging``, ``fields``, ``values``, ``definitions``,
``subscriptions``), ``commands`` (the only way to change it), ``events`` (what webhooks are owed), ``company`` (clock,
journal, outbox), ``v2`` and ``v1`` (the endpoints), ``api`` (a request in, a response out, still without I/O),
``webhooks``, ``faults``, ``control``, ``server`` (HTTP). What the documentation leaves open is a switch in ``model``.
"""
