"""From a change on one side to agreement on the other, at a steady rate each way.

The clock starts when the change is answered and stops when a poller sees it on the other side. Beside it stands what
carrying a change over takes at least, once it is known of: a call of the CRM and a statement, one after the other.

A plan's limits count requests by token: people and the poller use those of the other users. The daemon needs a request
to receive a change and two to send one, so that the 20 a second of a Growth plan hold 5 changes each way.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.bench.stage import Stage, stage

PERSONS = 200
SECONDS = 15
BARE = 100
"""So many changes are carried over by hand."""
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Under which limits, how many changes a second each way, and how often a poller looks."""

    limits: str = "off"
    per_second: int = 20
    poll: float = 0.003


GROWTH = Pace("growth", per_second=5, poll=0.03)


async def run(pace: Pace = Pace()) -> dict[str, float]:
    """Median and 99th percentile in milliseconds, both ways, measured while both run; medians of the bare calls."""
    async with stage(limits=pace.limits) as made:
        await made.crm("POST", "/sandbox/bulk", {"entity": "person", "count": PERSONS, "seed": 1})
        await made.ask("fetch_all", {"confirmed": True})
        await made.idle()
        rows = await made.db.fetch("select id, pipedrive_id from app.people order by id")
        crm = [int(row["pipedrive_id"]) for row in rows[: PERSONS // 2]]
        app = [int(row["id"]) for row in rows[PERSONS // 2 :]]
        theirs = {int(row["id"]): int(row["pipedrive_id"]) for row in rows}
        bare = await _bare(made, pace, theirs)
        await made.idle()
        received, sent = await asyncio.gather(_from_crm(made, pace, crm), _from_app(made, pace, app, theirs))
    return {**bare, **_figures("crm_to_row", received), **_figures("row_to_crm", sent)}


async def _bare(made: Stage, pace: Pace, theirs: Mapping[int, int]) -> Mapping[str, float]:
    """Milliseconds of GET and UPDATE, of SELECT and PATCH; nothing changes by them."""
    received, sent = [], []
    for row, person in list(theirs.items())[:BARE]:
        began = time.monotonic()
        name = (await made.crm("GET", f"/api/v2/persons/{person}"))["first_name"]
        await made.db.execute("update app.people set first = $1 where id = $2", name, row)
        received.append(time.monotonic() - began)
        began = time.monotonic()
        name = await made.db.fetchval("select first from app.people where id = $1", row)
        await made.crm("PATCH", f"/api/v2/persons/{person}", {"first_name": name})
        sent.append(time.monotonic() - began)
        await asyncio.sleep(pace.poll)
    return {
        "crm_to_row_bare_ms": statistics.median(received) * 1000,
        "row_to_crm_bare_ms": statistics.median(sent) * 1000,
    }


def _figures(name: str, seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    last = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {f"{name}_p50_ms": statistics.median(ordered) * 1000, f"{name}_p99_ms": last * 1000}


async def _from_crm(made: Stage, pace: Pace, ids: Sequence[int]) -> Sequence[float]:
    pending: dict[str, float] = {}

    async def edit(number: int) -> None:
        await made.crm("PATCH", f"/api/v2/persons/{ids[number % len(ids)]}", {"first_name": f"c{number}"})
        pending[f"c{number}"] = time.monotonic()

    async def arrived() -> Sequence[str]:
        rows = await made.spare.fetch("select first from app.people where first = any($1::text[])", list(pending))
        return [row["first"] for row in rows]

    return await _measure(pace, edit, arrived, pending)


async def _from_app(made: Stage, pace: Pace, ids: Sequence[int], theirs: Mapping[int, int]) -> Sequence[float]:
    pending: dict[str, float] = {}
    where: dict[str, int] = {}

    async def edit(number: int) -> None:
        key = ids[number % len(ids)]
        await made.db.execute("update app.people set first = $1 where id = $2", f"a{number}", key)
        where[f"a{number}"] = theirs[key]
        pending[f"a{number}"] = time.monotonic()

    async def arrived() -> Sequence[str]:
        wanted = ",".join(str(where[name]) for name in list(pending)[:100])
        people = await made.crm("GET", "/api/v2/persons", ids=wanted) if wanted else []
        return [person["first_name"] for person in people]

    return await _measure(pace, edit, arrived, pending)


async def _measure(
    pace: Pace,
    edit: Callable[[int], Awaitable[None]],
    arrived: Callable[[], Awaitable[Sequence[str]]],
    pending: dict[str, float],
) -> Sequence[float]:
    """Edits on schedule while one poller looks for what has arrived."""
    seconds: list[float] = []
    editing = asyncio.create_task(_edit_all(pace, edit))
    deadline = time.monotonic() + SECONDS + PATIENCE
    while (not editing.done() or pending) and time.monotonic() < deadline:
        found = [name for name in await arrived() if name in pending]
        seconds += [time.monotonic() - pending.pop(name) for name in found]
        await asyncio.sleep(pace.poll)
    await editing
    if pending:
        raise RuntimeError(f"{len(pending)} changes never arrived")
    return seconds


async def _edit_all(pace: Pace, edit: Callable[[int], Awaitable[None]]) -> None:
    began = time.monotonic()
    for number in range(pace.per_second * SECONDS):
        await asyncio.sleep(max(0.0, began + number / pace.per_second - time.monotonic()))
        await edit(number)
