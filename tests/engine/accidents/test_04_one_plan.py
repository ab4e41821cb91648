"""Rule 4, one plan: what explain foretells is what happens, for both ask the same pure function.

The accidents: a dry run that writes, a second opinion that drifts from the engine's, a plan that depends on who asks.
"""

import json
from pathlib import Path

from tests.engine.accidents.people import TABLES, add, channel, edit, people, persons, requests, rows
from tests.engine.rig import Rig, rig


async def test_what_explain_says_is_what_happens(database: str, tmp_path: Path) -> None:
    """Reasons foretold while the connection is paused are those that the journal tells afterwards.

    Fails when explain decides by anything else than the engine's plan.
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await _disagree(world)
        told = await world.ask("explain", {"mapping": "people", "crm": "1"})
        foretold = {line["line"]: line["reason"] for line in told["lines"]}
        await _pause(world, paused=False)
        await world.quiet()
        found = await world.db.fetch("select lines from connector.journal order by id desc limit 2")
        done = {name: entry["reason"] for row in found for name, entry in json.loads(row["lines"]).items()}
        assert done == {name: reason for name, reason in foretold.items() if reason != "unchanged"}
        assert set(done.values()) == {"app_changed", "crm_changed"}


async def test_asking_changes_nothing(database: str, tmp_path: Path) -> None:
    """Neither side nor our own state is touched by a question, and its answer is the same each time.

    Fails when explain carries out what it plans.
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await _disagree(world)
        before = await _state(world)
        first = await world.ask("explain", {"mapping": "people", "crm": "1"})
        again = await world.ask("explain", {"mapping": "people", "crm": "1"})
        assert first["lines"] == again["lines"]
        assert await _state(world) == before


async def _disagree(world: Rig) -> None:
    """Both sides edit, and nothing is done about it yet."""
    await world.start()
    await add(world, "ann")
    await world.quiet()
    await _pause(world, paused=True)
    await edit(world, 1, phones=channel("+44 crm"))
    await world.db.execute("update app.people set last = 'App'")


async def _state(world: Rig) -> tuple[object, ...]:
    written = [await requests(world, method) for method in ("POST", "PATCH", "DELETE")]
    ours = await world.db.fetchrow("select base, state, committed_at from connector.link")
    return await rows(world), await persons(world), written, ours


async def _pause(world: Rig, *, paused: bool) -> None:
    await world.db.execute("update connector.connection set paused = $1", paused)
    await world.ask("gates", {})
