"""Fetch-all of many persons, and a second pass that finds all of them unchanged, against paging and decoding alone."""

from __future__ import annotations

import json
import time

from tests.bench.stage import Stage, stage

RECORDS = 100_000
AT_ONCE = 10_000


async def run(records: int = RECORDS) -> dict[str, float]:
    """Records per second of paging and decoding, of the first and of the second pass; the daemon's memory in MiB."""
    async with stage() as made:
        for start in range(0, records, AT_ONCE):
            count = min(AT_ONCE, records - start)
            await made.crm("POST", "/sandbox/bulk", {"entity": "person", "count": count, "seed": start})
        ceiling = records / await _page_all(made)
        before = made.memory()
        first = records / await _fetch_all(made)
        after = made.memory()
        second = records / await _fetch_all(made)
        stored = await made.db.fetchval("select count(*) from app.people")
    if stored != records:
        raise RuntimeError(f"{stored} of {records} rows arrived")
    return {
        "ceiling_per_s": ceiling,
        "first_per_s": first,
        "second_per_s": second,
        "memory_before_mib": before,
        "memory_mib": after,
    }


async def _fetch_all(made: Stage) -> float:
    began = time.monotonic()
    await made.ask("fetch_all", {"confirmed": True})
    await made.idle()
    return time.monotonic() - began


async def _page_all(made: Stage) -> float:
    """What the bare library would do: read every page and decode it."""
    began, cursor = time.monotonic(), None
    while True:
        params = {"limit": "500", **({"cursor": cursor} if cursor else {})}
        async with made.http.get(f"{made.sandbox_url}/api/v2/persons", params=params) as response:
            answer = json.loads(await response.read())
        cursor = answer["additional_data"]["next_cursor"]
        if cursor is None:
            return time.monotonic() - began
