"""A copy of the database at work elsewhere: it writes nothing to the CRM, and the original does not notice it.

The accidents: a staging system that sends its test data to the customers' records, or takes the webhooks away.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connector.core.identity import Role
from tests.engine.accidents.people import TABLES, add, channel, edit, people, persons, requests, rows
from tests.engine.restoring import backup, becomes, elsewhere, returned, role, say
from tests.engine.rig import CONNECTION, Rig, rig

FILES = people(match="")


@pytest.mark.parametrize("setting", ["auto", "off"])
async def test_a_copy_sends_nothing_and_disturbs_nobody(database: str, tmp_path: Path, setting: str) -> None:
    """Neither while nobody has said what it is, nor as a copy: no record, no subscription, not even one of its own address.

    As a copy it goes on receiving. Fails when a send, a subscription or the end of one gets through; with `off` when the
    copy, that has the original's address in its environment, ends the original's subscription.
    """
    async with rig(database, tmp_path / "set", FILES, TABLES, webhooks=True) as world:
        await world.start()
        await add(world, "ann")
        await world.quiet()
        await world.stop()
        async with backup(world) as dsn:
            await world.start(fetch_all=False)
            async with elsewhere(world, dsn, tmp_path / "staging") as copy:
                (copy.directory / "connection.yaml").write_text(f"{CONNECTION}webhooks: {setting}\n", encoding="utf-8")
                subscribed, written = await _subscriptions(world), await _writes(world)
                await copy.start(fetch_all=False)
                await becomes(copy, Role.IN_DOUBT)
                await _edits(copy, "cop")
                await say(copy, Role.COPY)
                await becomes(copy, Role.COPY)
                await _edits(copy, "coy")
                assert await _writes(world) == written
                assert await _subscriptions(world) == subscribed
                await edit(world, 1, phones=channel("+44 1"))
                await add(world, "fay")
                await world.idle()
                assert [p["first_name"] for p in await persons(world)] == ["ann", "fay"]
                assert sorted(row["first"] for row in await rows(world)) == ["ann", "fay"]
                await copy.quiet()
                found = {row["first"]: row["phone"] for row in await rows(copy)}
                assert found == {"ann": "+44 1", "cop": None, "coy": None, "fay": None}
                assert await _subscriptions(world) == subscribed
                await copy.stop()
                await copy.start(fetch_all=False)
                await becomes(copy, Role.COPY)


async def test_a_copy_that_takes_over(database: str, tmp_path: Path) -> None:
    """What moved to another server is the original once somebody says so: what was written there meanwhile is sent.

    Fails when a move costs an edit, or makes anybody twice.
    """
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        await world.start()
        await add(world, "ann")
        await world.quiet()
        await world.stop()
        async with backup(world) as dsn, elsewhere(world, dsn, tmp_path / "new") as moved:
            await moved.start(fetch_all=False)
            await becomes(moved, Role.IN_DOUBT)
            await add(moved, "bob")
            await moved.db.execute("update app.people set phone = '+44 1' where first = 'ann'")
            await returned(moved)
            assert [(p["first_name"], len(p["phones"])) for p in await persons(world)] == [("ann", 1), ("bob", 0)]
            await moved.stop()
            await moved.start(fetch_all=False)
            assert await role(moved) == Role.ORIGINAL


async def test_the_same_database_again(database: str, tmp_path: Path) -> None:
    """The first start notes which database it is, also where an older version left none on record; no restart asks."""
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        await world.start()
        noted = await world.db.fetchval("select place from connector.connection")
        assert noted.count("/") == 2
        await world.stop()
        await world.db.execute("update connector.connection set place = null")
        await world.start(fetch_all=False)
        assert await world.db.fetchval("select place from connector.connection") == noted
        assert await role(world) == Role.ORIGINAL


async def _edits(copy: Rig, name: str) -> None:
    """A tester enters somebody and edits somebody; then there is nothing left to do but what waits for a word."""
    await add(copy, name)
    await copy.db.execute("update app.people set last = $1 where first = 'ann'", name)
    await copy.quiet()


async def _subscriptions(world: Rig) -> list[Any]:
    found = await world.crm("GET", "/v1/webhooks")
    return [(each["id"], each["subscription_url"], each["is_active"]) for each in found]


async def _writes(world: Rig) -> int:
    return sum([await requests(world, method) for method in ("POST", "PATCH", "PUT", "DELETE")])
