"""Edited files of a running connection: taken over by themselves, or refused in words while the old set goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from connector.app import connection
from connector.core.errors import MappingSetError
from connector.store import report
from tests.engine.rig import CONNECTION, Rig, rig

TABLES: Final = """
create schema app;
create table app.people (id bigint generated always as identity primary key, name text, email text, job text);
"""
PERSON: Final = """object: person
table: app.people
key: id
direction: both
match: [email]
fields:
  - {column: name, crm: name}
  - {column: email, crm: emails, as: primary}
"""
SPEED: Final = 10.0


def _save(world: Rig, name: str, text: str) -> None:
    (world.directory / name).write_text(text, encoding="utf-8")


def _applied(world: Rig, text: str) -> Callable[[], Awaitable[bool]]:
    """Whether the files that are in force hold this text."""

    async def look() -> bool:
        files = await world.db.fetchval("select files::text from connector.set where connection = 'test'")
        return text in str(files)

    return look


async def _names(world: Rig) -> set[str]:
    return {person["name"] for person in await world.crm("GET", "/api/v2/persons")}


async def test_a_bad_edit_keeps_the_old_set_running_and_says_every_mistake(database: str, tmp_path: Path) -> None:
    """Each mistake stands in the log with its place and what would be right; the mended file is taken over."""
    async with rig(database, tmp_path / "set", {"person.yaml": PERSON}, TABLES, speed=SPEED) as world:
        await world.start()
        with capture_logs() as logs:
            _save(world, "person.yaml", PERSON + "  - {column: jobb, crm: naem}\n")

            async def refused() -> bool:
                return len([line for line in logs if line["event"] == "mappings.refused"]) == 2

            await world.until(refused)
        said = [line["error"].message for line in logs if line["event"] == "mappings.refused"]
        place = world.directory / "person.yaml"
        assert said == [
            f"{place}:9:14: app.people has no column 'jobb'; did you mean 'job'?",
            f"{place}:9:25: person has no field 'naem'; did you mean 'name'?",
        ]
        await world.db.execute("insert into app.people (name, email) values ('Ada', 'ada@x.test')")
        await world.quiet()
        assert await _names(world) == {"Ada"}
        _save(world, "person.yaml", PERSON.replace("match: [email]", "match: [name]"))
        await world.until(_applied(world, "match: [name]"))


async def test_an_edit_may_name_a_field_that_was_made_a_moment_ago(database: str, tmp_path: Path) -> None:
    """The definitions of the CRM are read again before an edit is refused for what they lacked."""
    async with rig(database, tmp_path / "set", {"person.yaml": PERSON}, TABLES, speed=SPEED) as world:
        await world.start()
        await world.db.execute("insert into app.people (name, email, job) values ('Ada', 'ada@x.test', 'CEO')")
        await world.quiet()
        made = await world.crm("POST", "/api/v2/personFields", {"field_name": "Job", "field_type": "varchar"})
        _save(world, "person.yaml", PERSON + "  - {column: job, crm: Job}\n")

        async def told() -> bool:
            (person,) = await world.crm("GET", "/api/v2/persons")
            return bool(person["custom_fields"].get(made["field_code"]) == "CEO")

        await world.until(told)


async def test_a_refused_edit_is_looked_at_again_when_asked(database: str, tmp_path: Path) -> None:
    """SIGHUP, after the table was given the column that the file already named."""
    async with rig(database, tmp_path / "set", {"person.yaml": PERSON}, TABLES, speed=SPEED) as world:
        await world.start()
        with capture_logs() as logs:
            _save(world, "person.yaml", PERSON + "  - {column: owner, crm: owner_id, as: user_email}\n")

            async def refused() -> bool:
                return any(line["event"] == "mappings.refused" for line in logs)

            await world.until(refused)
        await world.db.execute("alter table app.people add column owner text")
        assert world.daemon is not None
        world.daemon.reload()
        await world.until(_applied(world, "crm: owner_id"))


async def test_access_and_the_rest_of_the_connection_follow_an_edit(database: str, tmp_path: Path) -> None:
    """A read-only connection undoes no edit of the app; once it may write it writes what it had kept back.

    What both sides changed meanwhile, and an edit of the CRM alone, come as ever.
    """
    readonly = CONNECTION + "access: read_only\nidentity_field: none\n"
    async with rig(
        database, tmp_path / "set", {"person.yaml": PERSON}, TABLES, connection=readonly, speed=SPEED
    ) as world:
        await world.start()
        await world.db.execute("insert into app.people (name, email) values ('Ada', 'ada@x.test')")
        await world.quiet()
        assert await _names(world) == set()
        _save(world, "connection.yaml", CONNECTION)

        async def written() -> bool:
            return await _names(world) == {"Ada"}

        await world.until(written)
        _save(world, "connection.yaml", readonly)
        await world.until(_applied(world, "read_only"))
        await world.db.execute("update app.people set name = 'Bea'")
        await world.quiet()
        assert await _names(world) == {"Ada"}
        (person,) = await world.crm("GET", "/api/v2/persons")
        other = [{"value": "bea@x.test", "primary": True}]
        await world.crm("PATCH", f"/api/v2/persons/{person['id']}", {"emails": other})
        await world.quiet()
        row = await world.db.fetchrow("select name, email from app.people")
        assert row is not None
        assert tuple(row) == ("Bea", "bea@x.test")
        _save(world, "connection.yaml", CONNECTION)

        async def sent() -> bool:
            return await _names(world) == {"Bea"}

        await world.until(sent)


async def test_wider_filters_let_in_what_the_old_ones_kept_out(database: str, tmp_path: Path) -> None:
    """A row and a record that passed no filter take part once an edit lets them pass."""
    narrow = PERSON + "only: {receive: {last_name: Yes}, send: {job: CEO}}\n"
    async with rig(database, tmp_path / "set", {"person.yaml": narrow}, TABLES, speed=SPEED) as world:
        await world.start()
        await world.db.execute("insert into app.people (name, email, job) values ('Ada No', 'ada@x.test', 'CTO')")
        await world.person(name="Bob No")
        await world.quiet()
        assert await _names(world) == {"Bob No"}
        assert await world.db.fetchval("select count(*) from app.people") == 1
        _save(world, "person.yaml", PERSON)

        async def both() -> bool:
            rows = {row["name"] for row in await world.db.fetch("select name from app.people")}
            return rows == await _names(world) == {"Ada No", "Bob No"}

        await world.until(both)


async def test_another_table_under_the_same_name_is_refused(database: str, tmp_path: Path) -> None:
    """Its links are of the rows of the old one: row 1 of the new one would overwrite somebody else's record.

    A table that was renamed is still the one that it was.
    """
    tables = TABLES + "create table app.staff (like app.people including all);"
    async with rig(database, tmp_path / "set", {"person.yaml": PERSON}, tables, speed=SPEED) as world:
        await world.start()
        await world.db.execute("insert into app.people (name, email) values ('Ada', 'ada@x.test')")
        await world.quiet()
        await world.db.execute("insert into app.staff (name) values ('Bea')")
        with capture_logs() as logs:
            _save(world, "person.yaml", PERSON.replace("app.people", "app.staff"))
            await world.until(
                lambda: _refused(logs, "person.yaml:2:8: 'person' links person records to rows of app.people")
            )
        await world.stop()
        with pytest.raises(MappingSetError, match="give the mapping another name"):
            await world.start(fetch_all=False)
        world.daemon = None
        await world.db.execute("drop table app.staff; alter table app.people rename to staff")
        await world.start(fetch_all=False)
        await world.db.execute("update app.staff set name = 'Ada Byron'")
        await world.until(lambda: _called(world, "Ada Byron"))


async def _refused(logs: Sequence[MutableMapping[str, Any]], words: str) -> bool:
    return any(words in line["error"].message for line in logs if line["event"] == "mappings.refused")


async def _called(world: Rig, name: str) -> bool:
    return await _names(world) == {name}


async def test_a_mapping_that_is_gone_leaves_no_trigger(database: str, tmp_path: Path) -> None:
    """Renamed, the table has the triggers of the new name alone; taken away, it has none. Back again, nothing is missed."""
    company = "object: organization\ntable: app.firms\nkey: id\ndirection: both\nfields: [{column: name, crm: name}]\n"
    tables = TABLES + "create table app.firms (id bigint generated always as identity primary key, name text);"
    async with rig(
        database, tmp_path / "set", {"person.yaml": PERSON, "firm.yaml": company}, tables, speed=SPEED
    ) as world:
        await world.start()
        (world.directory / "firm.yaml").rename(world.directory / "company.yaml")
        await world.until(lambda: _triggers(world, "capture test/company"))
        (world.directory / "company.yaml").unlink()
        await world.until(lambda: _triggers(world))
        await world.db.execute("insert into app.firms (name) values ('Acme')")
        _save(world, "firm.yaml", company)
        await world.until(lambda: _triggers(world, "capture test/firm"))
        assert await world.db.fetchval("select count(*) from pg_proc where proname like 'capture test/company%'") == 0
        await world.ask("fetch_all", {})
        await world.quiet()
        assert [each["name"] for each in await world.crm("GET", "/api/v2/organizations")] == ["Acme"]


async def test_a_mapping_that_leaves_the_set_keeps_its_links(database: str, tmp_path: Path) -> None:
    """Who looks at the status sees that it is not in the set; put back, its rows are those records as before.

    Fails when a mapping without a file looks like any other, or when one that comes back begins anew.
    """
    company = "object: organization\ntable: app.firms\nkey: id\ndirection: both\nfields: [{column: name, crm: name}]\n"
    tables = TABLES + "create table app.firms (id bigint generated always as identity primary key, name text);"
    async with rig(
        database, tmp_path / "set", {"person.yaml": PERSON, "firm.yaml": company}, tables, speed=SPEED
    ) as world:
        await world.start()
        await world.db.execute("insert into app.firms (name) values ('Acme')")
        await world.quiet()
        (world.directory / "firm.yaml").unlink()
        await world.until(lambda: _left(world, "firm"))
        _save(world, "firm.yaml", company)
        await world.until(lambda: _left(world))
        await world.until(lambda: _in_force(world, "firm"))
        await world.crm("PATCH", "/api/v2/organizations/1", {"name": "Back"})
        await world.quiet()
        assert [row["name"] for row in await world.db.fetch("select name from app.firms")] == ["Back"]
        assert len(await world.crm("GET", "/api/v2/organizations")) == 1


async def _in_force(world: Rig, mapping: str) -> bool:
    assert world.daemon is not None
    context = world.daemon.running["test"].context
    return context is not None and mapping in context.rules.bound.mappings


async def _left(world: Rig, *names: str) -> bool:
    """Whether exactly these mappings are known and not in the set."""
    states = await report.mapping_states(world.db, report.Now("test", world.clock.now()))  # type: ignore[arg-type]
    return {state.mapping for state in states if state.left_at is not None} == set(names)


async def _triggers(world: Rig, *names: str) -> bool:
    """Whether exactly these captures stand on the table."""
    found = await world.db.fetch(
        "select distinct left(tgname, -4) as name from pg_trigger where tgrelid = 'app.firms'::regclass"
    )
    return {row["name"] for row in found} == set(names)


async def test_another_name_or_account_needs_a_restart(database: str, tmp_path: Path) -> None:
    """Links of one account are not those of another: the edit is refused, the old set goes on."""
    async with rig(database, tmp_path / "set", {"person.yaml": PERSON}, TABLES, speed=SPEED) as world:
        await world.start()
        with capture_logs() as logs:
            _save(world, "connection.yaml", CONNECTION.replace("name: test", "name: other"))

            async def refused() -> bool:
                return any(line["event"] == "mappings.refused" for line in logs)

            await world.until(refused)
        (said,) = [line["error"].message for line in logs if line["event"] == "mappings.refused"]
        assert said.endswith("connection.yaml:2:1: name cannot change while the connection runs; restart it")
        await world.db.execute("insert into app.people (name, email) values ('Ada', 'ada@x.test')")
        await world.quiet()
        assert await _names(world) == {"Ada"}


async def test_who_takes_over_begins_with_the_files_as_they_are(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that waited while another followed an edit does not bring back the files that it had read before."""
    monkeypatch.setattr(connection, "RELOAD", 10**6)
    async with rig(database, tmp_path / "set", {"person.yaml": PERSON}, TABLES, speed=SPEED) as world:
        await world.start()
        _save(world, "person.yaml", PERSON.replace("match: [email]", "match: [name]"))
        await world.db.execute(
            "update connector.lease set epoch = epoch + 1, owner = 'other', expires_at = '2000-01-01'"
        )
        await world.until(_applied(world, "match: [name]"))
        _save(world, "person.yaml", PERSON + "  - {column: jobb, crm: naem}\n")
        await world.db.execute(
            "update connector.lease set epoch = epoch + 1, owner = 'other', expires_at = '2000-01-01'"
        )
        await world.db.execute("insert into app.people (name, email) values ('Ada', 'ada@x.test')")
        await world.quiet()
        assert await _names(world) == {"Ada"}
        assert await _applied(world, "match: [name]")()
