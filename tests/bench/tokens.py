"""What a change costs of the CRM's daily budget, as the sandbox counts it."""

from __future__ import annotations

import time

from tests.bench.stage import Stage, stage

SINGLE = 20
BURST = 5_000


async def run() -> dict[str, float]:
    """Tokens per received change, in a burst, per sent update, per create and per note update."""
    async with stage() as made:
        await made.crm("POST", "/sandbox/bulk", {"entity": "person", "count": BURST, "seed": 1})
        await made.ask("fetch_all", {"confirmed": True})
        await made.idle()
        people = await made.db.fetch("select id, pipedrive_id from app.people order by id limit $1", SINGLE)
        note = await _note(made, int(people[0]["id"]))
        figures = {
            "received": await _received(made, [int(row["pipedrive_id"]) for row in people]),
            "sent_update": await _updated(made, [int(row["id"]) for row in people]),
            "create": await _created(made),
            "note_update": await _note_updated(made, note),
        }
        burst, seconds = await _burst(made)
    return {**figures, "burst": burst, "burst_seconds": seconds}


async def _spent(made: Stage) -> float:
    return await made.tokens()


async def _received(made: Stage, ids: list[int]) -> float:
    return await _one_by_one(made, [("PATCH", f"/api/v2/persons/{i}", {"first_name": f"r{i}"}, 5.0) for i in ids])


async def _one_by_one(made: Stage, edits: list[tuple[str, str, dict[str, str], float]]) -> float:
    before, own = await _spent(made), 0.0
    for method, path, body, price in edits:
        await made.crm(method, path, body)
        own += price
        await made.until("select exists (select 1 from app.people where first = $1)", body["first_name"])
        await made.idle()
    return (await _spent(made) - before - own) / len(edits)


async def _updated(made: Stage, keys: list[int]) -> float:
    before = await _spent(made)
    for key in keys:
        await made.db.execute("update app.people set first = $1 where id = $2", f"u{key}", key)
        await made.idle()
    return (await _spent(made) - before) / len(keys)


async def _created(made: Stage) -> float:
    before = await _spent(made)
    for number in range(SINGLE):
        await made.db.execute(
            "insert into app.people (first, last, email) values ($1, 'New', $2)", f"n{number}", f"n{number}@new.test"
        )
        await made.idle()
    return (await _spent(made) - before) / SINGLE


async def _note(made: Stage, person: int) -> int:
    key = int(
        await made.db.fetchval("insert into app.remarks (person, body) values ($1, 'first') returning id", person)
    )
    await made.idle()
    return key


async def _note_updated(made: Stage, key: int) -> float:
    before = await _spent(made)
    for number in range(SINGLE):
        await made.db.execute("update app.remarks set body = $1 where id = $2", f"remark {number}", key)
        await made.idle()
    return (await _spent(made) - before) / SINGLE


async def _burst(made: Stage) -> tuple[float, float]:
    """Five thousand different persons edited at once by somebody else, webhooks and all."""
    before, began = await _spent(made), time.monotonic()
    ids = [
        int(row[0]) for row in await made.db.fetch("select pipedrive_id from app.people order by id limit $1", BURST)
    ]
    updates = [[crm_id, {"first_name": f"b{crm_id}"}] for crm_id in ids]
    await made.crm("POST", "/sandbox/bulk", {"entity": "person", "updates": updates, "webhooks": True})
    await made.until(
        "select not exists (select 1 from app.people where first not like 'b%' and pipedrive_id = any($1))", ids
    )
    await made.idle()
    return (await _spent(made) - before) / len(ids), time.monotonic() - began
