"""Records that a page is the first to meet: what happens to them while the page is on its way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from connector.core.model import CrmId, LinkId
from connector.engine.newcomers import Newcomers
from tests.engine.accidents.people import TABLES, channel, edit, fault, links, people, persons, rows
from tests.engine.rig import Rig, rig

ONE, TWO = CrmId("1"), CrmId("2")
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
SOON = NOW + timedelta(seconds=1)
SILENT = {"drop": 1.0}


def test_a_record_is_in_one_page_s_hands() -> None:
    """The second page to meet it knows that another holds it, until that is done with it."""
    met = Newcomers()
    assert met.meet("person", {ONE: LinkId(1)}, NOW) == {1: ONE}
    assert met.among("person", [ONE, TWO], SOON) == {ONE: True}
    assert met.among("person", [ONE, TWO], NOW) == {ONE: False}
    assert met.meet("person", {ONE: LinkId(2), TWO: LinkId(3)}, SOON) == {3: TWO}
    met.leave("person", {LinkId(1): ONE})
    assert met.meet("person", {ONE: LinkId(4)}, SOON) == {4: ONE}


def test_a_page_leaves_only_what_is_its_own() -> None:
    """What was taken from it and met by another stays with that one."""
    met = Newcomers()
    met.meet("person", {ONE: LinkId(1), TWO: LinkId(2)}, NOW)
    met.take("person", [ONE])
    assert not met.holds("person", ONE, LinkId(1))
    met.meet("person", {ONE: LinkId(3)}, SOON)
    met.leave("person", {LinkId(1): ONE, LinkId(2): TWO})
    assert met.holds("person", ONE, LinkId(3))
    assert not met.holds("person", TWO, LinkId(2))


def test_what_went_since_the_read_is_not_met() -> None:
    """A record that somebody deleted is nobody's any more; a page read afterwards knows better."""
    met = Newcomers()
    met.meet("person", {ONE: LinkId(1)}, NOW)
    met.lose("person", [ONE], SOON)
    assert not met.holds("person", ONE, LinkId(1))
    assert met.meet("person", {ONE: LinkId(2)}, NOW) == {}
    assert met.meet("organization", {ONE: LinkId(3)}, NOW) == {3: ONE}
    assert met.meet("person", {ONE: LinkId(4)}, SOON) == {4: ONE}


async def test_a_record_that_goes_while_its_page_comes(database: str, tmp_path: Path) -> None:
    """The listing still had it; the event of its deletion is folded first: no row is made of it.

    Fails when an event about a record that nobody has met is forgotten.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await _swept_late(world)
        await world.crm("DELETE", "/api/v2/persons/1")
        await world.until(lambda: _folded(world))
        await world.until(lambda: _swept(world))
        await world.idle()
        assert (await rows(world), await links(world)) == ([], [])


async def test_a_record_that_changes_while_its_page_comes(database: str, tmp_path: Path) -> None:
    """The event brings the later value, the page the older one: one row, one link, the later value."""
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await _swept_late(world)
        await edit(world, 1, last_name="Later")
        await world.until(lambda: _swept(world))
        await world.idle()
        assert [row["last"] for row in await rows(world)] == ["Later"]
        assert await links(world) == [("1", "1", "linked")]
        assert [person["last_name"] for person in await persons(world)] == ["Later"]


async def test_a_row_that_is_refused_leaves_a_parked_record(database: str, tmp_path: Path) -> None:
    """A record of a page whose row the table does not take is stored as any other: with its link and the cause."""
    strict = TABLES + "alter table app.people add constraint named check (email is not null);"
    async with rig(database, tmp_path / "set", people(), strict) as world:
        await world.start(fetch_all=False)
        await world.person(first_name="Ann", last_name="Test")
        await world.person(first_name="Bob", last_name="Test", emails=channel("bob@x.test"))
        await world.ask("fetch_all", {})
        await world.until(lambda: _parked(world))
        await world.idle()
        assert [(crm, state) for _, crm, state in await links(world)] == [("1", "open"), ("2", "linked")]


async def _swept_late(world: Rig) -> None:
    """A recent sweep is under way whose page, with a person that nobody has met, is read but does not come yet."""
    await world.start()
    await world.control("POST", "webhooks", SILENT)
    await world.person(first_name="Ann", last_name="Test")
    await world.control("POST", "webhooks", {"drop": 0.0})
    await fault(world, "slow_after", "GET", "persons$", seconds=0.7)
    await world.db.execute("update connector.sweep set due_at = $1 where kind = 'recent'", world.clock.now())
    await world.until(lambda: _faulted(world))


async def _faulted(world: Rig) -> bool:
    return all(rule["hits"] for rule in await world.control("GET", "faults"))


async def _folded(world: Rig) -> bool:
    context = world.daemon.running["test"].context if world.daemon is not None else None
    return context is not None and context.hearing.heard_at is not None


async def _swept(world: Rig) -> bool:
    return bool(
        await world.db.fetchval("select bool_and(due_at < finished_at) from connector.sweep where kind = 'recent'")
    )


async def _parked(world: Rig) -> bool:
    return bool(await world.db.fetchval("select count(*) = 1 from connector.work where state = 'parked'"))


async def test_whoever_is_made_on_both_sides_while_nobody_is_here(database: str, tmp_path: Path) -> None:
    """Once on each side. Fails when rows are sent before the first look has seen what the CRM has of late."""
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await world.start()
        await world.quiet()
        await world.stop()
        for number in range(5):
            await world.person(name=f"N{number}", emails=channel(f"e{number}@x.test"))
        await world.db.execute(
            "insert into app.people (email, first) select 'e' || n || '@x.test', 'N' || n from generate_series(0, 4) n"
        )
        await world.start()
        await world.quiet()
        assert len(await persons(world)) == len(await rows(world)) == 5
