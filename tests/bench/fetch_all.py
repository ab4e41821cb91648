"""Fetch-all of many persons, and a second pass that finds all of them unchanged, against paging and decoding alone.

As a person would: what there is to do is counted, then confirmed, then done. The counting has a figure of its own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from connector.engine.sweeps.preview import allowances
from tests.bench.stage import Stage, stage

RECORDS = 100_000
AT_ONCE = 10_000


async def run(records: int = RECORDS) -> dict[str, float]:
    """Records per second of paging and decoding, of counting, of the first and of the second pass.

    Beside each the µs of processor time per record and process; and the daemon's memory in MiB.
    """
    async with stage() as made:
        for start in range(0, records, AT_ONCE):
            count = min(AT_ONCE, records - start)
            await made.crm("POST", "/sandbox/bulk", {"entity": "person", "count": count, "seed": start})
        figures = await _measured(made, "ceiling", records, lambda: _page_all(made))
        before = made.memory()
        counted: dict[str, Any] = {}
        figures |= await _measured(made, "counting", records, lambda: _count(made, counted))
        figures |= await _measured(made, "first", records, lambda: _fetch_all(made, counted))
        after = made.memory()
        figures |= await _measured(made, "second", records, lambda: _fetch_all(made, {}))
        stored = await made.db.fetchval("select count(*) from app.people")
    if stored != records:
        raise RuntimeError(f"{stored} of {records} rows arrived")
    return {**figures, "memory_before_mib": before, "memory_mib": after}


async def _measured(made: Stage, name: str, records: int, work: Callable[[], Awaitable[None]]) -> dict[str, float]:
    began, spent = time.monotonic(), await made.cpu()
    await work()
    seconds, now = time.monotonic() - began, await made.cpu()
    cost = {f"{name}_{process}_us": (now[process] - spent[process]) / records * 1e6 for process in now}
    return {f"{name}_per_s": records / seconds, **cost}


async def _count(made: Stage, counted: dict[str, Any]) -> None:
    counted |= (await made.ask("fetch_all_preview", {}))["mappings"]


async def _fetch_all(made: Stage, counted: dict[str, Any]) -> None:
    await made.ask("fetch_all", {"allow": allowances(counted)})
    await made.idle()


async def _page_all(made: Stage) -> None:
    """What the bare library would do: read every page and decode it."""
    cursor = None
    while True:
        params = {"limit": "500", **({"cursor": cursor} if cursor else {})}
        async with made.http.get(f"{made.sandbox_url}/api/v2/persons", params=params) as response:
            answer = json.loads(await response.read())
        cursor = answer["additional_data"]["next_cursor"]
        if cursor is None:
            return
