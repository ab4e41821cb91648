"""Both schemas move at once under a live daemon, on the shipped set with three custom fields.

Everything that still fits goes on both ways, operators are told what does not and what to do, and once all is back both
sides are compared and agree.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from connector.engine.guard import DEFINITIONS_ASIDE, DEFINITIONS_ASKED
from tests.cli.conftest import MAPPINGS, Done, connector
from tests.engine.rig import CONNECTION, Rig, rig

FILES = {
    "company.yaml": (MAPPINGS / "company.yaml").read_text(encoding="utf-8"),
    "contact.yaml": (MAPPINGS / "contact.yaml").read_text(encoding="utf-8").rstrip()
    + """
  - {column: tier, crm: Loyalty}
  - {column: score, crm: Points}
  - {column: segment, crm: Segment, values: {small: Small, large: Large}}
""",
    "deal.yaml": (MAPPINGS / "deal.yaml").read_text(encoding="utf-8"),
}
TABLES = (
    (MAPPINGS / "tables.sql").read_text(encoding="utf-8")
    + """
alter table app.contacts add column tier text, add column score integer, add column segment text;
"""
)
OPTIONS = [{"label": "Small"}, {"label": "Large"}]


class World:
    """Ada, a small customer, and Bob, a large one, on both sides."""

    def __init__(self, made: Rig) -> None:
        self.rig, self.db = made, made.db
        self.keys: dict[str, str] = {}
        self.options: dict[str, int] = {}
        self.persons: dict[str, int] = {}

    async def field(self, name: str, kind: str, **more: Any) -> None:
        """Makes a custom field of persons."""
        made = await self.rig.crm("POST", "/api/v2/personFields", {"field_name": name, "field_type": kind, **more})
        self.keys[name] = made["field_code"]
        self.options |= {option["label"]: option["id"] for option in made["options"] or ()}

    async def begin(self) -> None:
        """All is fetched and quiet."""
        await self.field("Loyalty", "varchar")
        await self.field("Points", "double")
        await self.field("Segment", "enum", options=OPTIONS)
        await self.rig.start()
        await self.db.execute(
            """insert into app.contacts (first_name, last_name, email, phone, tier, score, segment) values
               ('Ada', 'A', 'ada@x.test', '+44 1', 'gold', 7, 'small'),
               ('Bob', 'B', 'bob@x.test', '+44 2', 'silver', 8, 'large')"""
        )
        await self.rig.quiet()
        rows = await self.db.fetch("select first_name, pipedrive_id from app.contacts where tier is not null")
        self.persons = {row["first_name"]: row["pipedrive_id"] for row in rows}
        assert all(self.persons.values())

    async def record(self, name: str) -> dict[str, Any]:
        """What the CRM says of a person, custom fields by name."""
        read = await self.rig.crm("GET", f"/api/v2/persons/{self.persons[name]}")
        custom = read["custom_fields"] or {}
        return {**read, **{field: custom.get(key) for field, key in self.keys.items()}}

    async def row(self, name: str) -> dict[str, Any]:
        """A person's row."""
        found = await self.db.fetchrow("select * from app.contacts where pipedrive_id = $1", self.persons[name])
        assert found is not None
        return dict(found)

    async def edit(self, name: str, **fields: Any) -> None:
        """Somebody edits a person in the CRM."""
        await self.rig.crm("PATCH", f"/api/v2/persons/{self.persons[name]}", fields)

    async def custom(self, name: str, field: str, value: Any) -> None:
        """Somebody edits a custom field of a person."""
        await self.edit(name, custom_fields={self.keys[field]: value})

    async def both_say(self, name: str, *, row: dict[str, Any], record: dict[str, Any]) -> None:
        """Waits until both sides say so, and that the daemon then rests."""

        async def so() -> bool:
            now, there = await self.row(name), await self.record(name)
            return row.items() <= now.items() and record.items() <= there.items()

        await self.rig.until(so)
        await self.rig.idle()
        assert await so(), (await self.row(name), await self.record(name))

    async def aside(self, *lines: str) -> None:
        """Waits until just these lines are set aside."""

        async def so() -> bool:
            assert self.rig.daemon is not None
            context = self.rig.daemon.running["test"].context
            return context is not None and {line for _, line in context.rules.bound.pins.aside} == set(lines)

        await self.rig.until(so)

    def later(self) -> None:
        """Lets the time pass after which the CRM's definitions are looked at again, asked or not."""
        self.rig.clock.leap(2 * DEFINITIONS_ASIDE)

    async def command(self, *words: str) -> Done:
        """Runs a command on the world's database."""
        return await connector(*words, DATABASE_URL=self.rig.dsn, CONNECTOR_SECRET_KEY="key")


@pytest.fixture
async def world(database: str, tmp_path: Path) -> AsyncIterator[World]:
    """The shipped set under a running daemon with webhooks."""
    connection = CONNECTION.replace("full: 30d", "full: 24h")
    async with rig(
        database, tmp_path / "set", FILES, TABLES, connection=connection, webhooks=True, speed=10.0, records=6
    ) as made:
        found = World(made)
        await found.begin()
        yield found


async def test_all_at_once_and_back(world: World) -> None:
    """A field is deleted, one renamed, an option removed, a column dropped: the rest flows, all is told, all comes back.

    Fails when one of them costs more than its own line, clears a value, or does not find back.
    """
    world.rig.clock.leap(DEFINITIONS_ASKED)
    await world.rig.crm("DELETE", f"/api/v2/personFields/{world.keys.pop('Loyalty')}")
    await world.rig.crm("PATCH", f"/api/v2/personFields/{world.keys['Points']}", {"field_name": "Rating"})
    await world.rig.crm(
        "DELETE", f"/api/v2/personFields/{world.keys['Segment']}/options", [{"id": world.options.pop("Small")}]
    )
    await world.db.execute("alter table app.contacts drop column phone")

    await world.db.execute(
        "update app.contacts set last_name = 'App', score = 70, tier = 'lost' where first_name = 'Ada'"
    )
    await world.edit("Bob", last_name="Crm", phones=[{"value": "+44 3", "primary": True, "label": "work"}])
    await world.custom("Bob", "Points", 80)
    await world.both_say("Ada", row={"last_name": "App", "segment": "small"}, record={"last_name": "App", "Points": 70})
    await world.both_say(
        "Bob", row={"last_name": "Crm", "score": 80, "tier": "silver"}, record={"Segment": world.options["Large"]}
    )
    await world.aside("Loyalty", "phones")
    await _told(world)

    await world.field("Loyalty", "varchar")
    made = await world.rig.crm("POST", f"/api/v2/personFields/{world.keys['Segment']}/options", [{"label": "Small"}])
    world.options["Small"] = made[0]["id"]
    await world.db.execute("alter table app.contacts add column phone text")
    world.later()
    await world.aside()
    small, large = world.options["Small"], world.options["Large"]
    await world.both_say(
        "Ada",
        row={"tier": "lost", "segment": "small", "phone": "+44 1", "score": 70},
        record={"Loyalty": "lost", "Segment": small, "Points": 70},
    )
    await world.both_say(
        "Bob",
        row={"tier": "silver", "segment": "large", "phone": "+44 3", "score": 80},
        record={"Loyalty": "silver", "Segment": large, "Points": 80},
    )
    await world.db.execute(
        "update app.contacts set phone = '+44 9', tier = 'new', segment = 'small' where first_name = 'Bob'"
    )
    await world.both_say("Bob", row={"tier": "new"}, record={"Loyalty": "new", "Segment": small})
    status = await world.command("status", "--json")
    (told,) = status.json["connections"]
    assert (told["quarantined"], told["held"], told["parked"]) == ([], [], [])


async def _told(world: World) -> None:
    """What an operator and whoever asks for Ada are told."""
    people, program = await world.command("status"), await world.command("status", "--json")
    (told,) = program.json["connections"]
    aside = {each["line"]: each for each in told["quarantined"]}
    assert aside.keys() == {"Loyalty", "phones"}
    assert "no field 'Loyalty'" in aside["Loyalty"]["reason"]
    assert "no column 'phone'" in aside["phones"]["reason"]
    assert all(each["advice"] for each in aside.values())
    assert [(each["mapping"], each["cause"], each["count"]) for each in told["held"]] == [
        ("contact", "unknown_option", 1)
    ]
    for words in ("no field 'Loyalty'", "no column 'phone'", "unknown_option", "make it again"):
        assert words in people.out
    key = (await world.row("Ada"))["id"]
    explained = await world.command("explain", "contact", str(key))
    for words in ("quarantined Loyalty", "quarantined phones", "held value Segment: unknown_option"):
        assert words in explained.out


async def test_a_table_that_is_locked_at_the_start(world: World) -> None:
    """Nothing is known of its mapping's triggers, so its records wait; the others go on, and all follows by itself.

    Fails when the daemon ends, or waits for the lock.
    """
    await world.rig.stop()
    await world.db.execute("update connector.capture set definition = 'older' where mapping = 'contact'")
    await world.db.execute("insert into app.companies (name) values ('Before')")
    locker = await asyncpg.connect(world.rig.dsn)
    try:
        await locker.execute("begin; lock table app.contacts in access exclusive mode")
        await world.rig.start(fetch_all=False)
        await world.edit("Bob", last_name="Later")
        await world.rig.until(lambda: world.db.fetchval("select pipedrive_id from app.companies where name = 'Before'"))
        (told,) = (await world.command("status", "--json")).json["connections"]
        blocked = {each["mapping"]: each["blocked"] for each in told["mappings"]}
        assert blocked == {"company": None, "contact": "its table is locked by another session", "deal": None}
        people = await world.command("status")
        assert "its table is locked by another session; end what locks it" in people.out
        explained = await world.command("explain", "contact", "--crm", str(world.persons["Bob"]))
        assert (explained.code, "`connector status` says why" in explained.err) == (1, True)
        await locker.execute("update app.contacts set last_name = 'Locked' where first_name = 'Ada'; commit")
    finally:
        await locker.close()
    await world.both_say("Ada", row={"last_name": "Locked"}, record={"last_name": "Locked"})
    await world.both_say("Bob", row={"last_name": "Later"}, record={"last_name": "Later"})
    assert not await world.db.fetchval("select count(*) from connector.mapping where blocked is not null")


async def test_an_option_is_removed_from_a_record_that_is_edited(world: World) -> None:
    """Nobody is told that its holders are empty now: the next look at one, for another edit, takes that for no edit.

    A choice that a person empties is emptied in the row at once. Fails when definitions are read after the row is written.
    """
    world.rig.clock.leap(DEFINITIONS_ASKED)
    await world.custom("Bob", "Segment", None)
    await world.both_say("Bob", row={"segment": None}, record={"Segment": None})
    world.rig.clock.leap(DEFINITIONS_ASIDE)
    await world.rig.crm(
        "DELETE", f"/api/v2/personFields/{world.keys['Segment']}/options", [{"id": world.options["Small"]}]
    )
    await world.edit("Ada", last_name="Edited")
    await world.both_say("Ada", row={"last_name": "Edited", "segment": "small"}, record={"Segment": None})
    journal = (
        "select count(*) from connector.journal where lines::text like '%Segment%' and crm_id = $1 and side = 'app'"
    )
    assert await world.db.fetchval(journal, str(world.persons["Ada"])) == 0
