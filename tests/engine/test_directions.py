"""Who may write what: every object direction against every line direction, edited on either side, end to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.engine.rig import Rig, rig

#   object    line        the app edits    the CRM edits
EXPECTED: Final = """
    both      both        app→crm          crm→app
    both      receive     undone           crm→app
    both      send        app→crm          undone
    both      none        left alone       left alone
    receive   both        undone           crm→app
    receive   receive     undone           crm→app
    receive   send        left alone       left alone
    receive   none        left alone       left alone
    send      both        app→crm          undone
    send      receive     left alone       left alone
    send      send        app→crm          undone
    send      none        left alone       left alone
    none      both        left alone       left alone
    none      receive     left alone       left alone
    none      send        left alone       left alone
    none      none        left alone       left alone
"""
#   object    a new row          a new record       a deleted row      a deleted record
CREATES: Final = """
    both      made in the CRM    made in the app    gone in the CRM    gone in the app
    receive   left alone         made in the app    left alone         gone in the app
    send      made in the CRM    left alone         gone in the CRM    left alone
    none      left alone         left alone         left alone         left alone
"""
LINES: Final = ("both", "receive", "send", "none")
ACTORS: Final = ("app", "crm")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one object direction is tried out: a table, a CRM object and what names its records there."""

    direction: str
    object: str
    path: str
    name: str

    @property
    def mapping(self) -> str:
        """The mapping file: one line per direction over a custom field of its own."""
        lines = "".join(
            f"  - {{column: on_{line}, crm: On {line}, direction: {line}}}\n" for line in LINES if line != "both"
        )
        return (
            f"object: {self.object}\ntable: app.{self.direction}\nkey: id\ndirection: {self.direction}\n"
            "match: [name]\ndeletes: {receive: delete, send: delete}\nfields:\n"
            f"  - {{column: name, crm: {self.name}}}\n  - {{column: on_both, crm: On both}}\n{lines}"
        )


PLACES: Final = (
    Place("both", "organization", "organizations", "name"),
    Place("receive", "person", "persons", "name"),
    Place("send", "deal", "deals", "title"),
)
NOWHERE: Final = Place("none", "organization", "organizations", "name")
"""A mapping that neither receives nor sends, over records that another one takes care of."""
TABLES: Final = "create schema app;" + "".join(
    f"create table app.{direction} (id bigint generated always as identity primary key, name text, "
    "on_both text, on_receive text, on_send text, on_none text);"
    for direction in LINES
)
FILES: Final = {f"{place.direction}.yaml": place.mapping for place in (*PLACES, NOWHERE)}


def _table(text: str) -> dict[str, list[str]]:
    """The cells of a table by what its first word or two say."""
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.strip().splitlines()]
    return {" ".join(row[:-2] if len(row) == 4 else row[:1]): row[-2:] if len(row) == 4 else row[1:] for row in rows}


@dataclass(slots=True)
class Field:
    """The keys of the custom fields, by object and line direction."""

    keys: dict[tuple[str, str], str]

    @classmethod
    async def made(cls, world: Rig) -> Field:
        """Four text fields for each object."""
        keys = {}
        for place in PLACES:
            for line in LINES:
                body = {"field_name": f"On {line}", "field_type": "varchar"}
                made = await world.crm("POST", f"/api/v2/{place.object}Fields", body)
                keys[place.object, line] = made["field_code"]
        return cls(keys)

    def of(self, place: Place, text: str) -> dict[str, str]:
        """Custom fields of a record that all say `text`."""
        return {self.keys[place.object, line]: text for line in LINES}

    def on(self, place: Place, record: Mapping[str, Any]) -> dict[str, Any]:
        """What a record's fields say, by line direction."""
        return {line: record["custom_fields"][self.keys[place.object, line]] for line in LINES}


async def _row(world: Rig, place: Place, name: str, text: str) -> None:
    await world.db.execute(
        f"insert into app.{place.direction} (name, on_both, on_receive, on_send, on_none) values ($1, $2, $2, $2, $2)",
        name,
        text,
    )


async def _edit_row(world: Rig, place: Place, name: str, text: str) -> None:
    await world.db.execute(
        f"update app.{place.direction} set on_both = $2, on_receive = $2, on_send = $2, on_none = $2 where name = $1",
        name,
        text,
    )


async def _records(world: Rig, place: Place) -> dict[str, dict[str, Any]]:
    found = await world.crm("GET", f"/api/v2/{place.path}")
    return {record[place.name]: record for record in found}


async def _names(world: Rig, place: Place) -> set[str]:
    return {row["name"] for row in await world.db.fetch(f"select name from app.{place.direction}")}


def _outcome(actor: str, app: str, crm: str) -> str:
    other = {"app": crm, "crm": app}[actor]
    if app == crm:
        return {"edited": "app→crm" if actor == "app" else "crm→app", "start": "undone"}[app]
    return "left alone" if other == "start" else f"app {app}, crm {crm}"


async def _seen(world: Rig, fields: Field, place: Place, actor: str) -> dict[str, str]:
    """What became of the edits of one actor, by line direction."""
    row = await world.db.fetchrow(f"select * from app.{place.direction} where name = $1", f"edited by {actor}")
    record = (await _records(world, place))[f"edited by {actor}"]
    assert row is not None
    return {line: _outcome(actor, row[f"on_{line}"], said) for line, said in fields.on(place, record).items()}


async def test_every_direction_with_every_line_and_either_editor(database: str, tmp_path: Path) -> None:
    """Pairs that agree are edited in every field by one side; what the connector makes of it is the table above."""
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        fields = await Field.made(world)
        for place in PLACES:
            for actor in ACTORS:
                body = {place.name: f"edited by {actor}", "custom_fields": fields.of(place, "start")}
                await world.crm("POST", f"/api/v2/{place.path}", body)
                await _row(world, place, f"edited by {actor}", "start")
        await world.start()
        await world.quiet()
        for place in PLACES:
            await _edit_row(world, place, "edited by app", "edited")
            record = (await _records(world, place))["edited by crm"]
            await world.crm(
                "PATCH", f"/api/v2/{place.path}/{record['id']}", {"custom_fields": fields.of(place, "edited")}
            )
        await world.quiet()
        seen = {
            f"{place.direction} {line}": [(await _seen(world, fields, place, actor))[line] for actor in ACTORS]
            for place in PLACES
            for line in LINES
        }
        expected = {name: cells for name, cells in _table(EXPECTED).items() if not name.startswith("none ")}
        assert seen == expected


async def test_a_mapping_of_direction_none_does_nothing(database: str, tmp_path: Path) -> None:
    """Its rows and records are neither paired, made nor changed, whatever its lines say and whoever edits."""
    files = {"none.yaml": NOWHERE.mapping}
    async with rig(database, tmp_path / "set", files, TABLES) as world:
        fields = await Field.made(world)
        body = {"name": "both", "custom_fields": fields.of(NOWHERE, "start")}
        made = await world.crm("POST", "/api/v2/organizations", body)
        await _row(world, NOWHERE, "both", "start")
        await world.start()
        await world.control("DELETE", "stats")
        await _edit_row(world, NOWHERE, "both", "by the app")
        await world.crm("PATCH", f"/api/v2/organizations/{made['id']}", {"custom_fields": fields.of(NOWHERE, "by crm")})
        await _row(world, NOWHERE, "only a row", "new")
        await world.crm("POST", "/api/v2/organizations", {"name": "only a record"})
        await world.quiet()
        row = await world.db.fetchrow("select * from app.none where name = 'both'")
        records = await _records(world, NOWHERE)
        assert row is not None
        assert {row[f"on_{line}"] for line in LINES} == {"by the app"}
        assert set(fields.on(NOWHERE, records["both"]).values()) == {"by crm"}
        assert await _names(world, NOWHERE) == {"both", "only a row"}
        assert set(records) == {"both", "only a record"}
        assert not await world.db.fetchval(
            "select count(*) from connector.link where app_key is not null and crm_id is not null"
        )


def _made(place: Place, rows: set[str], records: set[str]) -> list[str]:
    """The four cells of one object direction."""
    del place
    return [
        "made in the CRM" if "new row" in records else "left alone",
        "made in the app" if "new record" in rows else "left alone",
        "gone in the CRM" if "row to delete" not in records else "left alone",
        "gone in the app" if "record to delete" not in rows else "left alone",
    ]


async def test_the_objects_direction_governs_creates_and_deletes(database: str, tmp_path: Path) -> None:
    """New and deleted rows and records follow the object's direction, not the lines'."""
    async with rig(database, tmp_path / "set", {k: v for k, v in FILES.items() if k != "none.yaml"}, TABLES) as world:
        fields = await Field.made(world)
        for place in PLACES:
            for name in ("row to delete", "record to delete"):
                body = {place.name: name, "custom_fields": fields.of(place, "start")}
                await world.crm("POST", f"/api/v2/{place.path}", body)
                await _row(world, place, name, "start")
        await world.start()
        await world.quiet()
        for place in PLACES:
            await _row(world, place, "new row", "start")
            await world.crm("POST", f"/api/v2/{place.path}", {place.name: "new record"})
            await world.db.execute(f"delete from app.{place.direction} where name = 'row to delete'")
            record = (await _records(world, place))["record to delete"]
            await world.crm("DELETE", f"/api/v2/{place.path}/{record['id']}")
        await world.quiet()
        await world.ask("sweep", {"kind": "full"})
        await world.quiet()
        seen = {
            place.direction: _made(place, await _names(world, place), set(await _records(world, place)))
            for place in PLACES
        }
        assert seen == {name: cells for name, cells in _table(CREATES).items() if name != "none"}


async def test_a_row_may_be_two_records(database: str, tmp_path: Path) -> None:
    """Two mappings of one table make a record each of every row, where a set means that; each record keeps to its lines."""
    head = "object: person\ntable: app.accounts\nkey: id\ndirection: both\n"
    files = {
        f"{who}.yaml": head + f"only: {{receive: {{Role: {who}}}}}\nset: {{crm: {{Role: {who}}}}}\n"
        f"fields: [{{column: {who}, crm: name}}]\n"
        for who in ("buyer", "payer")
    }
    key = "id bigint generated by default as identity primary key"
    tables = f"create schema app; create table app.accounts ({key}, buyer text, payer text);"
    async with rig(database, tmp_path / "set", files, tables) as world:
        await world.crm("POST", "/api/v2/personFields", {"field_name": "Role", "field_type": "varchar"})
        await world.start()
        await world.db.execute("insert into app.accounts values (1, 'Ada', 'Bob')")
        await world.quiet()
        people = {each["name"]: each["id"] for each in await world.crm("GET", "/api/v2/persons")}
        assert set(people) == {"Ada", "Bob"}
        await world.crm("PATCH", f"/api/v2/persons/{people['Bob']}", {"name": "Bea"})
        await world.quiet()
        assert tuple(await world.db.fetchrow("select * from app.accounts") or ()) == (1, "Ada", "Bea")
