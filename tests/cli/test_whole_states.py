"""States of more than one record, as a support person reads them: what is paused, frozen, held, and what to do about it."""

from __future__ import annotations

from pathlib import Path

from tests.cli.test_conflicts import command
from tests.engine.accidents.people import TABLES, add, fault, people
from tests.engine.rig import Rig, rig

FILES = people(only="{send: {last: {not: gone}}}")


async def test_paused_frozen_and_held_say_what_to_do(database: str, tmp_path: Path) -> None:
    """A row that left the filter, a paused mapping, a token that is refused: `status` counts and advises, `explain` too.

    Fails when a state is not told, or told without what ends it.
    """
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        await world.start()
        await add(world, "ann", "bob")
        await world.quiet()
        await world.db.execute("update app.people set last = 'gone' where first = 'ann'")
        await world.idle()
        status, (told,), ann = await _look(world, "1")
        assert [each["frozen"] for each in told["mappings"]] == [1]
        assert "frozen" in status
        assert "frozen: only.send last" in ann
        assert "once it passes the filter again" in ann

        await world.db.execute("update connector.mapping set paused = true")
        await world.ask("gates", {})
        await world.db.execute("update app.people set phone = '+44 1' where first = 'bob'")
        await world.until(lambda: world.db.fetchval("select true from connector.work where cause = 'paused'"))
        status, (told,), bob = await _look(world, "2")
        assert [(each["cause"], each["count"]) for each in told["waiting"]] == [("paused", 1)]
        assert "paused; go on: connector resume test/people" in status
        assert "the mapping is paused\n          → go on: connector resume" in bob

        await world.db.execute("update connector.mapping set paused = false")
        await fault(world, "status", code=401, count=10**6)
        await world.until(lambda: world.db.fetchval("select true from connector.connection where state = 'held'"))
        status = (await command(world, "status")).out
        assert "test: held, unauthorised" in status
        assert "reconnect: give a valid API token" in status


async def _look(world: Rig, key: str) -> tuple[str, list[dict[str, list[dict[str, object]]]], str]:
    """What `status` says to people and to programs, and `explain` of a row."""
    people_, program = await command(world, "status"), await command(world, "status", "--json")
    explained = await command(world, "explain", "people", key)
    return people_.out, program.json["connections"], explained.out
