"""Deterministic simulation: the real engine over a real PostgreSQL and the sandbox's world, in simulated time.

One seed is one story: people edit both sides, webhooks and the API misbehave, processes die. The same seed tells the
same story again, since time passes only when nobody can act (`loop`), HTTP runs through memory (`wire`), and one call
of the database runs at a time (`turns`).

Reading order: `loop`, `wire`, `turns`, `life`, `stage` (both sides and the daemons), `files` (the mappings), `people`
(what they do), `story`, `mischief`, `spells` and `steps` (what happens), `witness` and `diary` (what was seen of it),
`evidence` and `laws` (what must hold), `tale` (a story from its beginning to its end), `theatre` (where), `planted` (bugs
that must be found), `run` (many seeds), `report` (what all runs together have played).
"""
