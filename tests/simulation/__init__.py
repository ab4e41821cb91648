"""Deterministic simulation: the real engine over a real PostgreSQL and the sandbox's world, in simulated time.

One seed is one story: people edit both sides, webhooks and the API misbehave, processes die. The same seed tells the
same story again, since time passes only when nobody can act (`loop`), HTTP runs through memory (`wire`), and one call
of the database runs at a time (`turns`).

Reading order: `loop`, `wire`, `turns`, `life`, `stage` (both sides and the daemons), `people` (what they do), `story`,
`mischief` (what happens), `laws` (what must hold afterwards), `tale` (a story from its beginning to its end), `theatre`
(where), `run` (many seeds).
"""
