"""Columns of every type that PostgreSQL lets an application invent: what one cannot hold costs that one value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.engine.rig import RequestFailedError, Rig, rig

TABLES: Final = """
create schema app;
create type app.tier as enum ('gold', 'silver');
create domain app.code as varchar(5);
create domain app.short as app.code;
create domain app.small as smallint;
create domain app.plate as text constraint plate check (value like 'B-%');
create domain app.topics as text[];
create table app.people (
  id bigint generated always as identity primary key, name text, email text unique, crm_id bigint,
  tier app.tier, code app.short, small app.small, host inet, plate app.plate, years int[], tiers app.tier[], codes varchar(3)[],
  topics app.topics, age int, labels text[], about jsonb, constraint adult check (age is null or age >= 18));
"""
FIELDS: Final[Mapping[str, tuple[str, list[str]]]] = {
    "Tier": ("enum", ["gold", "bronze"]),
    "Code": ("varchar", []),
    "Small": ("double", []),
    "Host": ("varchar", []),
    "Plate": ("varchar", []),
    "Years": ("set", ["2024", "soon"]),
    "Tiers": ("set", ["silver", "platinum"]),
    "Codes": ("set", ["abc", "abcd"]),
    "Topics": ("set", ["a", "b"]),
    "Age": ("double", []),
}
PERSON: Final = """
object: person
table: app.people
key: id
direction: both
match: [email]
fields:
  - {column: crm_id, crm: id}
  - {column: name, crm: name}
  - {column: email, crm: emails, as: primary}
""" + "".join(f"  - {{column: {name.lower()}, crm: {name}, conflict: app}}\n" for name in FIELDS)


class People:
    """The CRM's persons by the names of their custom fields."""

    def __init__(self, world: Rig) -> None:
        self.world = world
        self.keys: dict[str, str] = {}
        self.options: dict[tuple[str, str], int] = {}

    async def found(self) -> None:
        """Custom fields of all these types."""
        for name, (kind, labels) in FIELDS.items():
            options = {"options": [{"label": label} for label in labels]} if labels else {}
            body = {"field_name": name, "field_type": kind, **options}
            made = await self.world.crm("POST", "/api/v2/personFields", body)
            self.keys[name] = made["field_code"]
            self.options |= {(name, each["label"]): each["id"] for each in made["options"] or ()}

    def said(self, **values: Any) -> dict[str, Any]:
        """Custom fields as the API wants them, options by label."""
        return {"custom_fields": {self.keys[name]: self._spelled(name, value) for name, value in values.items()}}

    def _spelled(self, name: str, value: Any) -> Any:
        if isinstance(value, list):
            return [self.options[name, each] for each in value]
        return self.options.get((name, value), value)

    async def row(self, name: str) -> dict[str, Any]:
        """The row of a person."""
        found = await self.world.db.fetchrow("select * from app.people where name = $1", name)
        assert found is not None, await self.world.trouble()
        return dict(found)

    async def held(self) -> dict[str, str]:
        """Line → why its value is held, of the only link."""
        found = await self.world.db.fetchval("select held_values from connector.link_status")
        held: dict[str, str] = json.loads(found)
        return held


FITTING: Final[dict[str, Any]] = {
    "Tier": "gold", "Code": "abcde", "Small": 7, "Host": "10.0.0.1", "Plate": "B-XY", "Years": ["2024"], "Tiers": ["silver"],
    "Codes": ["abc"], "Topics": ["a", "b"], "Age": 40,
}  # fmt: skip
ROW: Final[dict[str, Any]] = {
    "tier": "gold", "code": "abcde", "small": 7, "plate": "B-XY", "years": [2024], "tiers": ["silver"], "codes": ["abc"],
    "topics": ["a", "b"], "age": 40,
}  # fmt: skip
UNFITTING: Final[dict[str, Any]] = {
    "Tier": "bronze", "Code": "abcdef", "Small": 70_000, "Host": "no host", "Plate": "M-XY", "Years": ["soon"],
    "Tiers": ["platinum"], "Codes": ["abcd"],
}  # fmt: skip
WHY: Final = {
    "Tier": "not_in_enum", "Code": "too_long", "Small": "out_of_range", "Host": "refused_by_column",
    "Plate": "refused_by_column",
    "Years": "invalid_number", "Tiers": "not_in_enum", "Codes": "too_long",
}  # fmt: skip


async def test_a_new_row_takes_what_its_columns_hold_and_leaves_the_rest(database: str, tmp_path: Path) -> None:
    """A person with a misfit in every field becomes a row all the same; each misfit says why, and nothing is cut."""
    async with rig(database, tmp_path / "set", {"person.yaml": PERSON}, TABLES) as world:
        people = People(world)
        await people.found()
        await world.start()
        await world.person(name="Ada", **people.said(**UNFITTING, Age=40))
        await world.quiet()
        row = await people.row("Ada")
        assert {name: row[name.lower()] for name in UNFITTING} == dict.fromkeys(UNFITTING)
        assert row["age"] == 40
        assert await people.held() == WHY


async def test_an_edit_that_does_not_fit_leaves_the_old_value_and_mends_itself(database: str, tmp_path: Path) -> None:
    """What fits goes both ways; misfits are held while the record's other edits arrive; a fitting value frees the line."""
    async with rig(database, tmp_path / "set", {"person.yaml": PERSON}, TABLES) as world:
        people = People(world)
        await people.found()
        await world.start()
        ada = await world.person(name="Ada", **people.said(**FITTING))
        await world.quiet()
        row = await people.row("Ada")
        assert {**{name: row[name] for name in ROW}, "host": str(row["host"])} == {**ROW, "host": "10.0.0.1"}
        await world.crm("PATCH", f"/api/v2/persons/{ada['id']}", {"name": "Bea", **people.said(**UNFITTING)})
        await world.quiet()
        row = await people.row("Bea")
        assert {**{name: row[name] for name in ROW}, "host": str(row["host"])} == {**ROW, "host": "10.0.0.1"}
        assert await people.held() == WHY
        await world.crm("PATCH", f"/api/v2/persons/{ada['id']}", people.said(Host="10.0.0.2", Tier="gold"))
        await world.quiet()
        assert str((await people.row("Bea"))["host"]) == "10.0.0.2"
        assert await people.held() == {name: why for name, why in WHY.items() if name not in ("Host", "Tier")}
        await world.db.execute("update app.people set years = '{2024,2025}', code = 'xyz', tiers = null")
        await world.quiet()
        assert await people.held() == {
            "Years": "unknown_option",
            "Small": "out_of_range",
            "Codes": "too_long",
            "Plate": "refused_by_column",
        }
        (found,) = await world.crm("GET", "/api/v2/persons")
        assert found["custom_fields"][people.keys["Code"]] == "xyz"


async def test_a_column_that_takes_no_null_holds_the_value_alone(database: str, tmp_path: Path) -> None:
    """Cleared in the CRM, the row keeps what it has and the rest of the record comes; once the column may be null it is."""
    tables = TABLES.replace("small app.small", "small app.small not null default 3")
    async with rig(database, tmp_path / "set", {"person.yaml": PERSON}, tables, speed=20) as world:
        people = People(world)
        await people.found()
        await world.start()
        ada = await world.person(name="Ada", **people.said(**{**FITTING, "Host": None}))
        await world.quiet()
        edit = {"name": "Ada L", **people.said(Small=None, Code="new")}
        await world.crm("PATCH", f"/api/v2/persons/{ada['id']}", edit)
        await world.quiet()
        row = await people.row("Ada L")
        assert (row["small"], row["code"]) == (7, "new")
        assert await people.held() == {"Small": "refused_by_column"}
        await world.db.execute("alter table app.people alter column small drop not null")
        await world.until(lambda: world.db.fetchval("select small is null from app.people"))


async def test_a_broken_constraint_parks_the_record_by_the_constraints_name(database: str, tmp_path: Path) -> None:
    """Which value is to blame only the application knows: the record waits, says what refused it, and is not tried again."""
    async with rig(database, tmp_path / "set", {"person.yaml": PERSON}, TABLES) as world:
        people = People(world)
        await people.found()
        await world.start()
        bob = await world.person(name="Bob", **people.said(Age=12, Host="no host"))
        await world.quiet()
        parked = await world.db.fetch("select state, cause, attempt from connector.work")
        assert [tuple(each) for each in parked] == [("parked", "row_refused:23514:adult", 0)]
        await world.crm("PATCH", f"/api/v2/persons/{bob['id']}", people.said(Age=18))
        await world.quiet()
        assert (await people.row("Bob"))["age"] == 18
        assert await people.held() == {"Host": "refused_by_column"}
        told = await world.ask("explain", {"mapping": "person", "crm": str(bob["id"])})
        assert "held value Host: refused_by_column, when it was last tried" in told["blocks"]


async def test_constants_may_be_lists_for_columns_that_hold_lists(database: str, tmp_path: Path) -> None:
    """`set.app` fills an array and a json column of a new row."""
    constants = "set: {app: {labels: [from CRM, b], about: [1, true, now]}}\n"
    async with rig(database, tmp_path / "set", {"person.yaml": PERSON + constants}, TABLES) as world:
        people = People(world)
        await people.found()
        await world.start()
        await world.person(name="Ada")
        await world.quiet()
        row = await people.row("Ada")
        assert (row["labels"], json.loads(row["about"])) == (["from CRM", "b"], [1, True, "now"])


@pytest.mark.parametrize("kind", ["varchar(3)", "char(3)", "app.short", "text"])
async def test_a_key_is_never_cut_to_what_the_column_holds(database: str, tmp_path: Path, kind: str) -> None:
    """A longer text is the key of no row, whatever PostgreSQL makes of it when it is cast."""
    tables = f"""
create schema app;
create domain app.short as varchar(3);
create table app.people (id {kind} primary key, name text);"""
    mapping = "object: person\ntable: app.people\nkey: id\ndirection: send\nfields: [{column: name, crm: name}]\n"
    async with rig(database, tmp_path / "set", {"person.yaml": mapping}, tables) as world:
        await world.start()
        await world.db.execute("insert into app.people values ('abc', 'Ada')")
        await world.quiet()
        told = await world.ask("explain", {"mapping": "person", "key": "abc"})
        assert (told["app_key"], told["row"]) == ("abc", "found")
        with pytest.raises(RequestFailedError, match="has that key"):
            await world.ask("sync", {"mapping": "person", "key": "abcdef"})
        await world.db.execute("update app.people set name = 'Bea' where id = 'abc'")
        await world.quiet()
        assert [each["name"] for each in await world.crm("GET", "/api/v2/persons")] == ["Bea"]
        await world.ask("sync", {"mapping": "person", "key": "abc"})


@pytest.mark.parametrize("key", [f"https://x.test/{'ü' * 500}", ""], ids=["long", "empty"])
async def test_a_key_longer_than_the_identity_field_or_empty(database: str, tmp_path: Path, key: str) -> None:
    """The record is made all the same, and is known as ours by the number that ends its identity."""
    mapping = """object: person
table: app.pages
key: url
direction: send
fields:
  - {column: title, crm: name}
"""
    tables = "create schema app; create table app.pages (url text primary key, title text);"
    async with rig(database, tmp_path / "set", {"page.yaml": mapping}, tables, webhooks=True) as world:
        await world.start()
        await world.db.execute("insert into app.pages values ($1, 'Ada')", key)
        await world.idle()
        await world.db.execute("update app.pages set title = 'Bea'")
        await world.idle()
        assert [person["name"] for person in await world.crm("GET", "/api/v2/persons")] == ["Bea"]
        assert await world.db.fetchval("select app_key from connector.link") == key
