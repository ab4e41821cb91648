"""Schemas that move in rarer ways: rights withdrawn, whole objects forbidden, definitions that cannot be read just then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connector.engine.guard import DEFINITIONS, DEFINITIONS_ASIDE
from tests.engine.accidents.people import fault
from tests.engine.ada import CONTACT, SPEED, TABLES, World, begun
from tests.engine.rig import rig

ROLE = """
create role {role} login password 'guest';
grant create on database "{database}" to {role}; grant usage on schema app to {role};
grant select, insert, delete, trigger on app.contacts to {role};
grant update (name, email, tier, score, crm_id) on app.contacts to {role};
grant all on all sequences in schema app to {role};
alter schema connector owner to {role};
do $$ declare change text; begin
  for change in
    select format('alter table connector.%I owner to {role}', relname) from pg_class
    where relnamespace = 'connector'::regnamespace and relkind in ('r', 'p', 'v')
    union all select format('alter routine %s owner to {role}', oid::regprocedure) from pg_proc
    where pronamespace = 'connector'::regnamespace
  loop execute change; end loop;
end $$;
"""
"""The schema was made by the test's own role, and becomes that of the daemon's."""


@pytest.fixture
async def world(database: str, tmp_path: Path) -> AsyncIterator[World]:
    """Ada on both sides under a running daemon."""
    async with begun(database, tmp_path) as made:
        yield made


async def test_a_right_on_a_column_is_withdrawn(database: str, tmp_path: Path) -> None:
    """REVOKE UPDATE, then SELECT: the line alone is set aside, and carries over what was edited once it is granted again.

    Fails when PostgreSQL's refusal costs the row, or what cannot be read ends as a defect.
    """
    async with rig(database, tmp_path / "set", {"contact.yaml": CONTACT}, TABLES, speed=SPEED, webhooks=True) as made:
        world = World(made)
        role = await _as_guest(world)
        await world.begin()
        await _rights_come_and_go(world, role)


async def _rights_come_and_go(world: World, role: str) -> None:
    await world.db.execute(f"revoke update (tier) on app.contacts from {role}")
    await world.edit(name="Ada U", Customer_tier="silver")
    await world.aside("Customer tier")
    await world.row_says(name="Ada U", tier="gold")
    told = await world.rig.ask("explain", {"mapping": "contact", "crm": str(world.person)})
    assert any("lacks UPDATE (tier) on app.contacts" in block for block in told["blocks"])
    await world.db.execute(
        f"revoke select on app.contacts from {role}; grant select (id, name, email, score, crm_id) on app.contacts to {role}"
    )
    await world.db.execute("update app.contacts set score = 8")
    await world.edit(name="Ada S")
    await world.row_says(name="Ada S")
    await world.crm_says(Score=8)
    await world.db.execute(f"grant select on app.contacts to {role}; grant update (tier) on app.contacts to {role}")
    await world.aside()
    await world.row_says(tier="silver")


async def _as_guest(world: World) -> str:
    """Lets the daemon be a role that may do just what the mapping needs; the role's name."""
    database = world.rig.dsn.rpartition("/")[2]
    role = f"guest_{database}"[:60]
    await world.db.execute(ROLE.format(role=role, database=database))
    world.rig.dsn = f"postgresql://{role}:guest@{world.rig.dsn.partition('@')[2]}"
    return role


async def test_definitions_that_cannot_be_read_when_a_field_vanished(world: World) -> None:
    """They are asked for again soon, not with the next hour; meanwhile the refused value is held, and the rest flows.

    Fails when a failed look forgets why it was made.
    """
    await world.rig.crm("DELETE", f"/api/v2/personFields/{world.keys['Customer tier']}")
    await fault(world.rig, "status", method="GET", path="personFields", code=503, count=10**6)
    world.rig.clock.leap(100)
    await world.db.execute("update app.contacts set name = 'Ada L', tier = 'silver'")
    await world.crm_says(name="Ada L")
    assert not world.context.rules.bound.pins.aside
    await world.rig.control("DELETE", "faults")
    world.rig.clock.leap(100)
    assert DEFINITIONS > 100
    await world.aside("Customer tier")
    await world.row_says(name="Ada L", tier="silver")


async def test_a_whole_object_is_forbidden_for_a_while(world: World) -> None:
    """Its records wait, nothing is deleted or parked, and all follows when it may be seen again; its fields likewise.

    Fails when what cannot be seen counts as gone.
    """
    await fault(world.rig, "status", path="/api/v2/person", code=403, count=10**6)
    await world.db.execute("update app.contacts set name = 'Ada F'")
    world.rig.clock.leap(2 * DEFINITIONS_ASIDE)
    world.context.schema_moved.set()
    await world.rig.until(lambda: world.db.fetchval("select cause = 'forbidden' from connector.work"))
    await world.rig.control("DELETE", "faults")
    world.rig.clock.leap(2 * DEFINITIONS_ASIDE)
    await world.crm_says(name="Ada F", Customer_tier="gold", Score=7)
    await world.row_says(name="Ada F", tier="gold", score=7)
    await world.aside()


async def test_a_namesake_is_not_taken_for_the_field(world: World) -> None:
    """Another field gets the name of one that was renamed away: the line stays with the field that it has always meant.

    Fails when names win over pins.
    """
    await world.rig.crm("PATCH", f"/api/v2/personFields/{world.keys['Customer tier']}", {"field_name": "Old tier"})
    made = await world.rig.crm("POST", "/api/v2/personFields", {"field_name": "Customer tier", "field_type": "varchar"})
    world.rig.clock.leap(2 * DEFINITIONS)
    world.context.schema_moved.set()
    await world.rig.until(lambda: _warned(world, "is now named 'Old tier'"))
    await world.db.execute("update app.contacts set tier = 'silver'")
    await world.crm_says(Customer_tier="silver")
    custom = (await world.record())["custom_fields"]
    assert custom[made["field_code"]] is None


async def _warned(world: World, words: str) -> bool:
    return any(words in problem.message for problem in world.context.rules.bound.problems)


async def test_wider_types_change_nothing(world: World) -> None:
    """Varchar → text, integer → bigint, a check and NOT NULL added: no line is set aside, values flow on.

    Fails when every difference of a column counts as another type.
    """
    await world.db.execute("alter table app.contacts alter column tier type varchar(20)")
    await world.db.execute("update app.contacts set tier = 'silver'")
    await world.crm_says(Customer_tier="silver")
    await world.db.execute(
        """alter table app.contacts alter column tier type text, alter column score type bigint,
           alter column name set not null, add constraint few check (score < 10000000000)"""
    )
    await world.edit(Score=5_000_000_000, Customer_tier="x" * 40, name="Ada W")
    await world.row_says(score=5_000_000_000, tier="x" * 40, name="Ada W")
    await world.db.execute("update app.contacts set score = 6000000000")
    await world.crm_says(Score=6_000_000_000)
    assert not world.context.rules.bound.pins.aside


async def test_a_table_goes_by_another_name_for_a_while(world: World) -> None:
    """Its records wait; what was edited on both sides meanwhile flows once it has its name again.

    Fails when rows that are not found count as deleted.
    """
    await world.db.execute("alter table app.contacts rename to elsewhere")
    await world.aside("name", "emails", "Customer tier", "Score", "id")
    await world.db.execute("update app.elsewhere set score = 9")
    await world.edit(name="Ada R")
    await world.db.execute("alter table app.elsewhere rename to contacts")
    await world.aside()
    await world.row_says(name="Ada R", score=9)
    await world.crm_says(name="Ada R", Score=9)


async def test_definitions_are_looked_at_when_a_record_lacks_a_field(world: World) -> None:
    """Nobody sends anything: that a filled field is not in the record any more is hint enough, once.

    Fails when only a refusal is one.
    """
    await world.rig.crm("DELETE", f"/api/v2/personFields/{world.keys['Customer tier']}")
    world.rig.clock.leap(100)
    await world.edit(name="Ada H")
    await world.aside("Customer tier")
    await world.row_says(name="Ada H", tier="gold")
