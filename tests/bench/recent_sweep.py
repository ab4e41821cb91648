"""An empty recent sweep among few and among many links: its time and its price must not depend on their number."""

from __future__ import annotations

import statistics
import time

from tests.bench.stage import Stage, stage

FEW, MANY = 1_000, 200_000
ROUNDS = 9


async def run() -> dict[str, float]:
    """Milliseconds and tokens of an empty recent sweep with few and with many links."""
    async with stage(webhooks=False) as made:
        few = await _measure(made, FEW)
        many = await _measure(made, MANY)
    return {"few_ms": few[0], "many_ms": many[0], "tokens": many[1], "lists": 2.0}


async def _measure(made: Stage, links: int) -> tuple[float, float]:
    await made.db.execute(
        """insert into connector.link (connection, object, mapping, app_key, crm_id, origin, state, first_seen_at)
           select 'bench', 'person', 'person', 'k' || i, 'c' || i, 'crm', 'linked', now()
           from generate_series((select count(*) from connector.link) + 1, $1) i""",
        links,
    )
    times, before = [], await made.tokens()
    for _ in range(ROUNDS):
        began = time.monotonic()
        await made.ask("sweep", {"kind": "recent"})
        times.append(time.monotonic() - began)
    return statistics.median(times) * 1000, (await made.tokens() - before) / ROUNDS
