"""Rule 11, freshness: a webhook names a least version; a read that shows an older one is not the truth yet.

The accidents: a replica's stale answer is taken for the new state and the edit arrives with the next one only, a
version from the future that no read can ever show.
"""

import json
from datetime import timedelta
from pathlib import Path

import aiohttp

from tests.engine.accidents.people import TABLES, add, edit, people, persons, requests, rows, stopped, work
from tests.engine.rig import Rig, rig


async def test_a_read_that_is_older_than_the_webhook(database: str, tmp_path: Path) -> None:
    """The record is read again until it is as new as the event said.

    Fails when a read is believed whatever its version: the row keeps the old value.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await world.start()
        await add(world, "ann")
        await world.idle()
        await _stale(world, 3)
        await edit(world, 1, last_name="New")
        await world.until(lambda: _last(world, "New"))


async def test_reads_that_never_become_new(database: str, tmp_path: Path) -> None:
    """After five more reads the answer is believed: one record does not read for ever.

    Fails when a stale read is repeated without end.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await world.start()
        await add(world, "ann")
        await world.idle()
        await _stale(world, None)
        await edit(world, 1, last_name="New")
        await stopped(world, ("retry", "stale_read"))
        await world.until(lambda: _leaping(world))
        await world.control("DELETE", "faults")
        await world.quiet()
        await world.ask("sync", {"mapping": "people", "crm": "1"})
        await world.idle()
        assert await _last(world, "New")


async def test_a_version_from_the_future(database: str, tmp_path: Path) -> None:
    """An event that claims next century asks for a read, and for one only.

    Fails when the version of an event is believed whatever its time.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await world.start()
        await add(world, "ann")
        await world.idle()
        before = await requests(world, "GET")
        await _deliver(world, {"id": 1, "last_name": "Never", "update_time": "2101-01-01T00:00:00Z"})
        await world.idle()
        assert await requests(world, "GET") == before + 1
        assert await _last(world, "Test")


async def test_two_edits_within_a_second_and_a_stale_read(database: str, tmp_path: Path) -> None:
    """The version of the stale answer is that of the event, but it shows what the event says was replaced.

    Fails when the same version is taken for the same content: the second edit is lost.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await world.start()
        await add(world, "ann")
        await world.idle()
        _one_second(world)
        await edit(world, 1, last_name="First")
        await world.until(lambda: _last(world, "First"))
        await world.idle()
        await world.control("POST", "faults", {"kind": "stale", "method": "GET", "path": "persons/1$", "count": 2})
        await world.crm("GET", "/api/v2/persons/1")
        await edit(world, 1, last_name="Second")
        await world.until(lambda: _last(world, "Second"))


async def test_a_read_that_is_older_than_our_own_write(database: str, tmp_path: Path) -> None:
    """The row is edited twice, and before the second write the record is read as it was before the first one.

    Fails when only an event names a least version: our first write looks like an edit that the second put away, and comes
    back into the row.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await world.start()
        await add(world, "ann")
        await world.idle()
        await _stale(world, 3)
        for name in ("First", "Second"):
            await world.db.execute("update app.people set last = $1", name)
            await world.idle()
        assert await _last(world, "Second")
        assert [person["last_name"] for person in await persons(world)] == ["Second"]


async def test_an_edit_that_is_taken_back_while_it_is_read(database: str, tmp_path: Path) -> None:
    """While we read the edit somebody takes it back, within the second: what the event says equals our base once more.

    Fails when that event is spent as an echo: the row gets what was read, and keeps it.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await world.start()
        await add(world, "ann")
        await world.idle()
        _one_second(world)
        await edit(world, 1, last_name="Kept")
        await world.until(lambda: _last(world, "Kept"))
        await world.idle()
        rule = {"kind": "slow_after", "method": "GET", "path": "persons/1$", "count": 1, "seconds": 2.0}
        await world.control("POST", "faults", rule)
        await edit(world, 1, last_name="Mistaken")
        await world.until(lambda: _taken(world))
        await edit(world, 1, last_name="Kept")
        await world.idle()
        assert await _last(world, "Kept")


def _one_second(world: Rig) -> None:
    """Whatever happens from now on happens within one second of the CRM's clock."""
    clock, began = world.sandbox.api.company.clock, world.clock.now()
    second = began.replace(microsecond=0) + timedelta(seconds=1)
    clock.source = lambda: second + (world.clock.now() - began) / 40


async def _taken(world: Rig) -> bool:
    """True once the fault has met its request: the answer is made, and on its way."""
    return all(rule["hits"] for rule in await world.control("GET", "faults"))


async def _stale(world: Rig, count: int | None) -> None:
    """So many reads of the person (None: all) are answered as at this moment, some seconds before the edit."""
    rule = {"kind": "stale", "method": "GET", "path": "persons/1$", "count": count}
    await world.control("POST", "faults", rule)
    await world.crm("GET", "/api/v2/persons/1")
    world.clock.leap(3)


async def _leaping(world: Rig) -> bool:
    """Lets time pass until nothing is left."""
    world.clock.leap(1)
    return not await work(world)


async def _last(world: Rig, name: str) -> bool:
    return [row["last"] for row in await rows(world)] == [name]


async def _deliver(world: Rig, data: dict[str, object]) -> None:
    (subscription,) = world.sandbox.world.subscriptions.values()
    assert subscription.auth is not None
    headers = {
        "Content-Type": "application/json",
        "Authorization": aiohttp.encode_basic_auth(*subscription.auth),
    }
    meta = {"action": "change", "entity": "person", "entity_id": "1", "id": "x", "timestamp": "2101-01-01T00:00:00Z"}
    body = json.dumps({"meta": meta, "data": data, "previous": {"last_name": "Test"}})
    async with world.http.post(subscription.url, data=body, headers=headers) as response:
        assert response.status == 200
