"""Deterministic simulation: the real engine over a real PostgreSQL and the sandbox's world, in simulated time.

One seed is one story: people edit both sides, webhooks and the API misbehave, processes die. The same seed tells the
same story again, since time passes only when nobody can act (`loop`), HTTP runs through memory (`wire`), and one call
of the database runs at a time (`turns`).

Reading order: `loop`, `wire`, `turns`, `stage` (both sides and the daemons), `story` (what happens), `laws` (what must
hold afterwards), `run` (many seeds).
"""
