"""Schemas that move under a running daemon: fields renamed and deleted, columns and tables dropped, and back again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connector.engine.guard import DEFINITIONS_ASIDE, TRIGGERS
from connector.store import report
from tests.engine.ada import World, begun


@pytest.fixture
async def world(database: str, tmp_path: Path) -> AsyncIterator[World]:
    """Ada on both sides under a running daemon."""
    async with begun(database, tmp_path) as made:
        yield made


async def test_a_renamed_field_is_followed_while_the_file_holds_the_old_name(world: World) -> None:
    """After a restart too."""
    await world.rig.crm("PATCH", f"/api/v2/personFields/{world.keys['Customer tier']}", {"field_name": "Tier"})
    world.rig.clock.leap(2 * DEFINITIONS_ASIDE)
    world.context.schema_moved.set()
    await world.rig.until(lambda: _problems(world, "is now named"))
    await world.edit(Customer_tier="silver")
    await world.row_says(tier="silver")
    await world.rig.stop()
    await world.rig.start(fetch_all=False)
    await world.db.execute("update app.contacts set tier = 'bronze'")
    await world.crm_says(Customer_tier="bronze")


async def _problems(world: World, words: str) -> bool:
    return any(words in problem.message for problem in world.context.rules.bound.problems)


async def test_a_deleted_field_costs_its_own_line_alone(world: World) -> None:
    """The refusal that names it is reason enough to look; nothing is cleared, everything else goes on."""
    await world.rig.crm("DELETE", f"/api/v2/personFields/{world.keys['Customer tier']}")
    world.rig.clock.leap(100)
    await world.db.execute("update app.contacts set name = 'Ada L', tier = 'silver', score = 8")
    await world.aside("Customer tier")
    await world.crm_says(name="Ada L", Score=8)
    await world.edit(name="Ada M")
    await world.row_says(name="Ada M", tier="silver")
    metrics = world.context.metrics.render().decode()
    await world.rig.until(lambda: _gauge(world, 'connector_quarantined_fields{mapping="test/contact"} 1.0'))
    assert "silver" not in metrics


async def _gauge(world: World, line: str) -> bool:
    return line in world.context.metrics.render().decode()


async def test_a_field_that_returns_is_filled_and_clears_nothing(world: World) -> None:
    """Made anew under its name it has another key, and is empty in every record; a restart meanwhile changes nothing."""
    await world.rig.crm("DELETE", f"/api/v2/personFields/{world.keys.pop('Customer tier')}")
    world.rig.clock.leap(100)
    world.context.schema_moved.set()
    await world.aside("Customer tier")
    await world.rig.stop()
    await world.rig.start(fetch_all=False)
    await world.aside("Customer tier")
    await world.field("Customer tier", "varchar")
    world.rig.clock.leap(2 * DEFINITIONS_ASIDE)
    await world.aside()
    await world.crm_says(Customer_tier="gold")
    assert (await world.row())["tier"] == "gold"
    await world.edit(Customer_tier="silver")
    await world.row_says(tier="silver")


async def test_a_field_of_another_type_stays_aside(world: World) -> None:
    """Of the old name, but dates are no tiers; what fits neither side is told by name."""
    await world.rig.crm("DELETE", f"/api/v2/personFields/{world.keys.pop('Score')}")
    await world.field("Score", "varchar")
    world.rig.clock.leap(2 * DEFINITIONS_ASIDE)
    world.context.schema_moved.set()
    await world.aside("Score")
    told = await world.rig.ask("explain", {"mapping": "contact", "crm": str(world.person)})
    assert any("quarantined Score" in block and "number" in block for block in told["blocks"])
    await world.edit(name="Ada T", Score="many")
    await world.row_says(name="Ada T", score=7)


async def test_a_dropped_column_costs_its_own_line_alone(world: World) -> None:
    """The app's statements go on at once, edits of both sides too; the CRM keeps what it has."""
    await world.db.execute("alter table app.contacts drop column tier")
    await world.db.execute("update app.contacts set name = 'Ada D'")
    await world.aside("Customer tier")
    await world.crm_says(name="Ada D", Customer_tier="gold")
    await world.edit(name="Ada E", Customer_tier="silver")
    await world.row_says(name="Ada E")
    await world.db.execute("alter table app.contacts add column tier text")
    await world.aside()
    await world.row_says(tier="silver")
    await world.db.execute("update app.contacts set tier = 'bronze'")
    await world.crm_says(Customer_tier="bronze")


async def test_a_column_made_anew_in_one_migration_clears_nothing(world: World) -> None:
    """Dropped and added between two looks, it is empty in every row. With a default, both sides stay as they are."""
    await world.db.execute("alter table app.contacts drop column tier, drop column score")
    await world.db.execute("alter table app.contacts add column tier text, add column score integer default 1")
    await world.db.execute("update app.contacts set name = 'Ada N'")
    await world.crm_says(name="Ada N", Customer_tier="gold", Score=7)
    await world.row_says(tier="gold", score=1)
    await world.crm_says(Score=7)
    await world.db.execute("update app.contacts set score = 2")
    await world.crm_says(Score=2)


async def test_a_retyped_column_is_set_aside_until_it_is_what_it_was(world: World) -> None:
    """Numbers in a text column are another matter; back again they flow."""
    await world.db.execute("alter table app.contacts alter column score type text")
    await world.aside("Score")
    await world.edit(name="Ada R", Score=9)
    await world.row_says(name="Ada R", score="7")
    await world.db.execute("alter table app.contacts alter column score type integer using score::integer")
    await world.aside()
    await world.row_says(score=9)
    await world.edit(Score=10)
    await world.row_says(score=10)


async def test_a_dropped_table_waits_and_returns(world: World) -> None:
    """Its records are left alone; restored with older values it overwrites nothing, and what was edited meanwhile comes."""
    await world.db.execute("create table app.kept as table app.contacts")
    await world.db.execute("drop table app.contacts")
    await world.edit(name="Ada W")
    await world.aside("name", "emails", "Customer tier", "Score", "id")
    await world.rig.quiet()
    assert (await world.record())["name"] == "Ada W"
    await world.db.execute(
        """begin; create table app.contacts (id bigint generated always as identity primary key, name text, email text,
             tier text, score integer, crm_id bigint);
           update app.kept set tier = 'older', score = null;
           insert into app.contacts overriding system value select * from app.kept; commit"""
    )
    await world.aside()
    await world.rig.quiet()
    await world.row_says(name="Ada W", tier="older", score=7)
    await world.crm_says(name="Ada W", Customer_tier="gold", Score=7)
    await world.db.execute("update app.contacts set name = 'Ada X'")
    await world.crm_says(name="Ada X")
    await world.edit(Customer_tier="silver")
    await world.row_says(tier="silver")


async def test_dropped_triggers_are_made_again_and_what_they_missed_is_found(world: World) -> None:
    """By a full sweep."""
    names = await world.db.fetch(
        "select tgname from pg_trigger where tgrelid = 'app.contacts'::regclass and not tgisinternal"
    )
    for row in names:
        await world.db.execute(f'drop trigger "{row["tgname"]}" on app.contacts')
    await world.db.execute("update app.contacts set name = 'Ada Q'")
    world.rig.clock.leap(TRIGGERS)
    await world.crm_says(name="Ada Q")
    await world.db.execute("update app.contacts set name = 'Ada Z'")
    await world.crm_says(name="Ada Z")


async def test_without_its_match_key_no_pair_is_made(world: World) -> None:
    """A new row could be a double in the CRM; it waits, is told as waiting for a person, and follows."""
    await world.db.execute("alter table app.contacts rename column email to mail")
    await world.aside("emails")
    await world.db.execute("insert into app.contacts (name, mail) values ('Cyd', 'cyd@x.test')")
    await world.rig.quiet()
    person = await report.needs_person(world.db, report.Now("test", world.rig.clock.now()))  # type: ignore[arg-type]
    assert (person["quarantined"], person["waiting"]) == (1, 1)
    await world.db.execute("alter table app.contacts rename column mail to email")
    await world.aside()
    await world.rig.until(lambda: world.db.fetchval("select crm_id from app.contacts where name = 'Cyd'"))
