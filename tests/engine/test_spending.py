"""The day's budget over restarts, and who may spend what is kept for live work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from connector.engine.forecast import Forecast
from tests.engine.rig import CONNECTION, Rig, rig

TABLES = "create schema app; create table app.people (id bigint generated always as identity primary key, name text);"
PERSON = "object: person\ntable: app.people\nkey: id\ndirection: receive\nfields: [{column: name, crm: name}]\n"


def spent(world: Rig) -> float:
    """What the daemon says it spent today."""
    assert world.daemon is not None
    spending = world.daemon.running["test"].crm.spending()
    assert spending is not None
    return spending.spent


async def test_restarts_spend_one_budget(database: str, tmp_path: Path) -> None:
    """Each start costs; all of them together are known, also after an end without order."""
    noon = datetime.now(UTC).replace(hour=12)
    async with rig(database, tmp_path / "set", {"person.yaml": PERSON}, TABLES) as world:
        world.clock.wall = noon
        await world.start()
        first = spent(world)
        await world.stop()
        await world.start(fetch_all=False)
        second = spent(world)
        assert second > first
        await world.until(lambda: _noted(world, spent(world)))
        await world.kill()
        await world.start(fetch_all=False)
        assert spent(world) > second


async def _noted(world: Rig, tokens: float) -> bool:
    return bool(await world.db.fetchval("select spent = $1 from connector.budget", tokens))


async def test_recent_sweeps_without_webhooks_may_spend_the_reserve(database: str, tmp_path: Path) -> None:
    """They are all that brings changes; full sweeps wait for tomorrow."""
    connection = CONNECTION + "budget: {daily: 1000, reserve: 99%}\n"
    async with rig(database, tmp_path / "set", {"person.yaml": PERSON}, TABLES, connection=connection) as world:
        world.clock.wall = datetime.now(UTC).replace(hour=12)
        await world.start(fetch_all=False)
        await world.person(name="Ada")
        await world.ask("sweep", {"kind": "recent"})
        await world.until(lambda: world.db.fetchval("select name = 'Ada' from app.people"))
        told = await world.ask("budget", {})
        assert {window["name"] for window in told["windows"]} == {"burst", "daily"}


async def test_a_record_that_was_gone_when_it_was_first_read_costs_no_more(database: str, tmp_path: Path) -> None:
    """Sweeps list a deleted deal for a while; there is nothing to look up.

    Fails when every deleted record of a sweep is read that has no tombstone (simulation, seed 114).
    """
    files = {"deal.yaml": PERSON.replace("person", "deal").replace("crm: name", "crm: title")}
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=True) as world:
        await world.start()
        await world.idle()
        await world.control(
            "POST", "faults", {"kind": "status", "code": 500, "method": "GET", "path": "deals/", "count": 1}
        )
        deal = await world.crm("POST", "/api/v2/deals", {"title": "Gone"})
        await world.until(lambda: world.db.fetchval("select count(*) from connector.work where state = 'retry'"))
        await world.crm("DELETE", f"/api/v2/deals/{deal['id']}")
        await world.idle()
        await world.quiet()
        await world.control("DELETE", "stats")
        await world.quiet()
        assert "GET /api/v2/deals/{id}" not in (await world.control("GET", "stats"))["requests"]


def test_a_forecast_is_the_rate_of_the_last_minutes() -> None:
    """Nothing spent: never; a new day begins anew."""
    one, never = Forecast(), float("inf")
    assert one.seconds == never
    one.note(0, 1000)
    assert one.seconds == never
    one.note(60, 900)
    assert one.seconds == timedelta(minutes=9).total_seconds()
    one.note(120, 1000)
    assert one.seconds == never
