"""Rule 7, after the fact: whatever our write put away unseen is on record, and settled by the line's rule.

The accidents: a value that somebody entered in the CRM is gone, nobody knows of it, because its echo came at the wrong
moment, because it stood in a field that our write only carried along, or because somebody had gone on editing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.engine.accidents.doubt import MINUTE, all_hit
from tests.engine.accidents.people import FIELDS, TABLES, add, channel, edit, fault, people, persons, requests, rows
from tests.engine.accidents.test_07_never_overwrite_blind import DEAL, MONEY
from tests.engine.accidents.wire import crash, wired
from tests.engine.rig import Rig, rig

LATE_POST = """
create table app.late as select * from connector.event with no data;
create function app.keep_back() returns trigger language plpgsql as
    $$ begin insert into app.late select new.*; return null; end $$;
create trigger keep_back before insert on connector.event for each row execute function app.keep_back();
"""
DELIVER = """insert into connector.event (connection, event_id, object, crm_id, kind, hint, received_at)
             select connection, event_id, object, crm_id, kind, hint, received_at from app.late order by id"""


@pytest.mark.parametrize(
    ("rule", "stays"), [("last_updated", "+44 1"), ("crm", "+44 1"), ("app", "+44 2")], ids=["later", "crm", "app"]
)
async def test_every_rule_settles_it(database: str, tmp_path: Path, rule: str, stays: str) -> None:
    """Both sides end with the value that the rule says, the other one is in the journal, once.

    Fails when a rule is not asked, or the loser is not kept.
    """
    async with rig(database, tmp_path / "set", people(conflict=rule), TABLES, webhooks=True) as world:
        await _race(world, "update app.people set phone = '+44 2'", phones=channel("+44 1"))
        await _agree(world, "phone", stays)
        assert await _losers(world) == ["+44 1" if stays == "+44 2" else "+44 2"]


async def test_a_line_that_only_sends(database: str, tmp_path: Path) -> None:
    """The row owns the line: what was put away is kept, and nothing comes back.

    Fails when a one-way line lets the CRM win, or keeps nothing of what it put away.
    """
    files = people(FIELDS.replace("crm: phones, as: primary", "crm: phones, as: primary, direction: send"))
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=True) as world:
        await _race(world, "update app.people set phone = '+44 2'", phones=channel("+44 1"))
        await _agree(world, "phone", "+44 2")
        assert await _losers(world) == ["+44 1"]


async def test_one_of_several_lines_of_a_write(database: str, tmp_path: Path) -> None:
    """Our write says two things, and put away an edit of the one: that comes back, the other stays.

    Fails when a write counts as a whole.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await _race(world, "update app.people set phone = '+44 2', email = 'other@x.test'", phones=channel("+44 1"))
        await _agree(world, "phone", "+44 1")
        assert (await persons(world))[0]["emails"][0]["value"] == (await rows(world))[0]["email"] == "other@x.test"
        assert await _losers(world) == ["+44 2"]


async def test_what_our_write_only_carried_along(database: str, tmp_path: Path) -> None:
    """A new first name takes the last name along as it was read, over one that was entered meanwhile: it comes back.

    Fails when only the lines that we meant to write are compared with their echo.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await _race(world, "update app.people set first = 'Anna'", last_name="Crm")
        await _agree(world, "last", "Crm")
        (person,) = await persons(world)
        assert (person["first_name"], person["last_name"]) == ("Anna", "Crm")


async def test_an_amount_with_its_currency(database: str, tmp_path: Path) -> None:
    """Somebody enters another currency while our write brings a new amount: both together are the later edit.

    Fails when the parts of a composite are looked at one by one.
    """
    async with rig(database, tmp_path / "set", DEAL, MONEY, webhooks=True) as world:
        await world.start()
        await world.db.execute("insert into app.deals (title, amount, currency) values ('Roof', 10, 'USD')")
        await world.idle()
        await fault(world, "slow", "PATCH", "deals", seconds=0.5)
        await world.db.execute("update app.deals set amount = 20")
        await world.until(lambda: all_hit(world))
        await world.crm("PATCH", "/api/v2/deals/1", {"value": 10, "currency": "EUR"})
        await world.until(lambda: _patched(world, 2))
        await world.idle()
        (deal,), row = await world.crm("GET", "/api/v2/deals"), await world.db.fetchrow("select * from app.deals")
        assert row is not None
        assert (deal["value"], deal["currency"]) == (row["amount"], row["currency"]) == (10, "EUR")


async def test_an_echo_that_comes_after_further_agreements(database: str, tmp_path: Path) -> None:
    """The app has changed the value again before the echo of the first write comes: that stands, the value is kept.

    Fails when only the last write is compared with an echo, or a late echo turns back what was agreed on since.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await _race(world, "update app.people set phone = '+44 2'", late=True, phones=channel("+44 1"))
        await world.db.execute("update app.people set phone = '+44 3'")
        await world.until(lambda: _patched(world, 3))
        await world.idle()
        await _deliver(world)
        await _agree(world, "phone", "+44 3")
        assert await _losers(world) == ["+44 1"]


async def test_an_echo_that_comes_twice(database: str, tmp_path: Path) -> None:
    """It tells the same once more, when the matter is settled: nothing is journalled or written again.

    Fails when a settled matter is settled again.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await _race(world, "update app.people set phone = '+44 2'", late=True, phones=channel("+44 1"))
        world.clock.leap(5)  # the CRM's times must tell what comes back from what went
        await _deliver(world)
        patches = await requests(world, "PATCH")
        await world.db.execute(DELIVER)
        await world.idle()
        await _agree(world, "phone", "+44 1")
        assert (await _losers(world), await requests(world, "PATCH")) == (["+44 2"], patches)


@pytest.mark.parametrize(("rule", "stays"), [("last_updated", "+44 3"), ("crm", "+44 1"), ("app", "+44 3")])
async def test_the_app_edits_again_before_the_echo_is_heard(
    database: str, tmp_path: Path, rule: str, stays: str
) -> None:
    """A later edit of the row meets what our write had put away: the rule settles those two, the loser is kept.

    Fails when what was put away is forgotten because the row moved on.
    """
    async with rig(database, tmp_path / "set", people(conflict=rule), TABLES, webhooks=True) as world:
        await _race(world, "update app.people set phone = '+44 2'", late=True, phones=channel("+44 1"))
        await _pause(world, paused=True)
        world.clock.leap(30)
        await world.db.execute("update app.people set phone = '+44 3'")
        await world.db.execute(f"drop trigger keep_back on connector.event; {DELIVER}")
        await world.until(lambda: _folded(world))
        await _pause(world, paused=False)
        await world.idle()
        await _agree(world, "phone", stays)
        assert ("+44 1" if stays == "+44 3" else "+44 3") in await _losers(world)


async def test_the_owner_dies_between_its_write_and_the_answer(database: str, tmp_path: Path) -> None:
    """The next owner finds out that the write happened, and what it had put away from its echo.

    Fails when what a write replaced dies with its owner.
    """
    async with wired(database) as wire, rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        world.dsn = wire.dsn
        await world.start()
        await add(world, "ann")
        await world.idle()
        await fault(world, "applied_late", "PATCH", "persons", seconds=3.0)
        await world.db.execute("update app.people set phone = '+44 2'")
        await world.until(lambda: all_hit(world))
        await crash(world, wire)
        await edit(world, 1, phones=channel("+44 1"))
        await world.start(fetch_all=False)
        await world.until(lambda: _nothing_late(world))
        world.clock.leap(MINUTE)
        await world.quiet()
        await _agree(world, "phone", "+44 1")
        assert "+44 2" in await _losers(world)


async def _race(world: Rig, statement: str, *, late: bool = False, **fields: Any) -> None:
    """One person in agreement; what the app's statement makes us send goes over what somebody enters meanwhile.

    `late`: events are kept back from then on.
    """
    await world.start()
    await add(world, "ann")
    await world.idle()
    if late:
        await world.db.execute(LATE_POST)
    await fault(world, "slow", "PATCH", "persons", seconds=0.5)
    await world.db.execute(statement)
    await world.until(lambda: all_hit(world))
    await edit(world, 1, **fields)
    await world.until(lambda: _patched(world, 2))
    await world.idle()


async def _deliver(world: Rig) -> None:
    """What was kept back comes."""
    await world.db.execute(f"drop trigger keep_back on connector.event; {DELIVER}")
    await world.idle()


async def _agree(world: Rig, column: str, value: str) -> None:
    (row,), (person,) = await rows(world), await persons(world)
    held = person["phones"][0]["value"] if column == "phone" else person["last_name"]
    assert (row[column], held) == (value, value)


async def _losers(world: Rig) -> list[str]:
    found = await world.db.fetch("select lines from connector.journal order by id")
    entries = [entry for row in found for entry in json.loads(row["lines"]).values()]
    return [entry["loser"]["value"] for entry in entries if "loser" in entry]


async def _pause(world: Rig, *, paused: bool) -> None:
    await world.db.execute("update connector.connection set paused = $1", paused)
    await world.ask("gates", {})


async def _folded(world: Rig) -> bool:
    """True when every note is folded into work."""
    return not await world.db.fetchval(
        "select (select count(*) from connector.change) + (select count(*) from connector.event)"
    )


async def _patched(world: Rig, count: int) -> bool:
    return await requests(world, "PATCH") == count


async def _nothing_late(world: Rig) -> bool:
    return world.sandbox.late == 0
