"""Forty pairs under a brake of ten: what the tests of rule 13 begin with."""

from __future__ import annotations

from tests.engine.accidents.people import people, rows, work
from tests.engine.rig import CONNECTION, Rig

COUNT = 40
NAMES = [f"n{n:02}" for n in range(COUNT)]
GUARDED = CONNECTION.replace("brake: {records: 100000, percent: 100}", "brake: {records: 20, percent: 5}")
CRUEL = people(deletes="{receive: delete, send: delete}")


async def begin(world: Rig) -> None:
    """Forty pairs in agreement, made before the first fetch-all, which was confirmed."""
    people_of_the_crm = [
        {
            "first_name": name,
            "last_name": "Test",
            "emails": [{"value": f"{name}@x.test", "primary": True}],
            "phones": [{"value": "+44 1", "primary": True}],
        }
        for name in NAMES
    ]
    for person in people_of_the_crm:
        await world.person(**person)
    await world.start()
    await world.quiet()
    assert len(await rows(world)) == COUNT


async def braked(world: Rig, count: int) -> None:
    """Waits until so many records, and nothing else, are stopped."""

    async def so() -> bool:
        found = await work(world)
        return len(found) == count and all(state == "braked" for state, _ in found)

    await world.until(so)
