"""Rule 3, webhook answers: the CRM bans a receiver that refuses; what is not understood or stored is found by a sweep.

The accidents: a subscription banned and its events lost, a change lost in a delivery that nobody could read, changes of
the time in which the database was away.
"""

from functools import partial
from pathlib import Path

import aiohttp

from tests.engine.accidents.people import TABLES, add, channel, edit, first_names, people, persons, rows, turns
from tests.engine.accidents.wire import wired
from tests.engine.rig import Rig, rig

SILENT = {"drop": 1.0}
HEARD = {"drop": 0.0}
GARBAGE = (b"{", b"[]", b'{"meta": {"entity": "person", "action": "sing", "entity_id": 1}}', b"\xff\x00")


async def test_what_is_not_understood_is_answered_well_and_a_sweep_finds_it(database: str, tmp_path: Path) -> None:
    """Authenticated garbage gets 200 each time, and what it may have been about arrives by a recent sweep.

    Fails when garbage is refused, or when it leaves no gap behind.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await world.start()
        for garbage in GARBAGE:
            await world.control("POST", "webhooks", SILENT)
            person = await world.person(first_name="Ann", last_name="Test")
            await world.control("POST", "webhooks", HEARD)
            assert await _deliver(world, garbage) == 200
            await world.until(partial(_has_row, world, person["id"]))
        assert len(await rows(world)) == len(GARBAGE)


async def test_a_stranger_who_delivers_is_sent_away(database: str, tmp_path: Path) -> None:
    """Whoever cannot say the password leaves nothing behind: no event, no sweep.

    Fails when deliveries are read before they are authenticated.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await world.start()
        before = await _recent_sweeps(world)
        assert await _deliver(world, b"{", password="guess") == 401
        await world.idle()
        assert await _recent_sweeps(world) == before


async def test_a_gap_that_opens_while_a_sweep_runs(database: str, tmp_path: Path) -> None:
    """A sweep that began before the gap does not close it: another one follows.

    Fails when the end of a sweep forgets that one was asked for meanwhile.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await world.start()
        await world.control("POST", "webhooks", SILENT)
        await world.control(
            "POST", "faults", {"kind": "slow_after", "method": "GET", "path": "persons$", "seconds": 0.5, "count": 1}
        )
        assert await _deliver(world, b"{") == 200
        await world.until(lambda: _faulted(world))
        await world.person(first_name="Ann", last_name="Test")
        assert await _deliver(world, b"{") == 200
        await world.until(lambda: _row_count(world, 1))


async def test_a_delivery_waits_for_the_database_to_return(database: str, tmp_path: Path) -> None:
    """A short absence costs nothing: the answer is held and the event stored.

    Fails when a delivery that cannot be stored at once is given up: a full sweep must look for what it told.
    """
    async with wired(database) as wire, rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        world.dsn = wire.dsn
        await world.start()
        await wire.cut()
        await world.person(first_name="Ann", last_name="Test")
        await world.until(turns(30))
        assert world.sandbox.deliverer.pending == 1
        await wire.mend()
        await world.until(lambda: _row_count(world, 1))
        assert (await world.control("GET", "stats"))["deliveries"]["failed"] == 0
        assert await world.db.fetchval("select due_at from connector.sweep where kind = 'full'") is None


async def test_the_database_is_away_for_long(database: str, tmp_path: Path) -> None:
    """Deliveries of the time without database are answered 200; changes and deletions of it are found afterwards.

    Fails when such a delivery is answered 503 (ten of them get the subscription banned), or leaves no gap.
    """
    async with wired(database) as wire, rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        world.dsn = wire.dsn
        await world.start()
        await add(world, *"abcdefghijkl")
        await world.idle()
        await wire.cut()
        for person in (await persons(world))[:10]:
            await edit(world, person["id"], last_name="Changed")
        await world.crm("DELETE", "/api/v2/persons/12")
        await world.person(first_name="New", last_name="Test", emails=channel("new@x.test"))
        await world.until(lambda: _all_answered(world))
        await wire.mend()
        await world.until(lambda: _archived(world))
        await world.idle()
        found = await rows(world)
        assert sorted(row["last"] for row in found) == ["Changed"] * 10 + ["Test"] * 3
        assert first_names(found) == sorted([*"abcdefghijkl", "New"])
        stats = await world.control("GET", "stats")
        assert stats["deliveries"]["lost"] == stats["deliveries"]["failed"] == 0


async def _deliver(world: Rig, body: bytes, password: str | None = None) -> int:
    (subscription,) = world.sandbox.world.subscriptions.values()
    assert subscription.auth is not None
    user, known = subscription.auth
    headers = {"Content-Type": "application/json", "Authorization": aiohttp.encode_basic_auth(user, password or known)}
    async with world.http.post(subscription.url, data=body, headers=headers) as response:
        return response.status


async def _recent_sweeps(world: Rig) -> object:
    return await world.db.fetchval("select started_at from connector.sweep where kind = 'recent'")


async def _faulted(world: Rig) -> bool:
    return all(rule["hits"] for rule in await world.control("GET", "faults"))


async def _row_count(world: Rig, count: int) -> bool:
    return len(await rows(world)) == count


async def _has_row(world: Rig, person: int) -> bool:
    return bool(
        await world.db.fetchval(
            "select count(*) from connector.link where crm_id = $1 and app_key is not null", str(person)
        )
    )


async def _all_answered(world: Rig) -> bool:
    return world.sandbox.deliverer.pending == 0


async def _archived(world: Rig) -> bool:
    return [row["archived_at"] is not None for row in await rows(world)].count(True) == 1
