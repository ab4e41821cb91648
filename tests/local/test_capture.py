"""What the capture triggers note of the application's statements."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from connector.core.schema import Table
from connector.local.capture import Capture, install
from connector.local.catalogue import describe
from connector.local.tables import Shape
from connector.store.db import Database, migrate

TABLES = """
create table people (
    id bigint primary key, first text, last text, nick text, tags json[], place point, seen timestamptz);
"""
COLUMNS = ("id", "first", "last", "nick", "tags", "place")
Note = tuple[str, frozenset[str], tuple[str, ...]]
"""(what the statement did, the columns that differ, the keys in order); sorted by keys."""


@dataclass(slots=True)
class App:
    """The application's session on a captured table."""

    db: asyncpg.Connection

    async def does(self, statement: str) -> Sequence[Note]:
        """Carries out a statement; what was noted of it."""
        await self.db.execute(statement)
        rows = await self.db.fetch("delete from connector.change returning op::text, columns, keys")
        found = [(r["op"], _names(r["columns"]), tuple(sorted(r["keys"], key=int))) for r in rows]
        return sorted(found, key=lambda note: note[2])


def _names(bits: int) -> frozenset[str]:
    return frozenset(name for bit, name in enumerate(COLUMNS) if bits >> bit & 1)


@asynccontextmanager
async def captured(dsn: str) -> AsyncIterator[App]:
    """A table of three people, captured but for its column `seen`."""
    database = await Database.connect(dsn, size=1)
    app = await asyncpg.connect(dsn)
    try:
        await migrate(database)
        await app.execute(TABLES)
        await app.execute(
            "insert into people (id, first, nick) values (1, 'Ann', 'ann'), (2, 'Bob', 'bob'), (3, 'Cy', 'cy')"
        )
        async with database.transaction() as db:
            table = (await describe(db, [("public", "people")]))["public", "people"]
            await install(db, Capture("acme", "people", Shape("acme/people", table, "id", COLUMNS), COLUMNS))
        yield App(app)
    finally:
        await app.close()
        await database.close()


def updated(keys: str, *columns: str) -> Note:
    """The note of an UPDATE."""
    return "U", frozenset(columns), tuple(keys.split())


async def test_one_row(database: str) -> None:
    """A changed row is noted with exactly the columns that differ."""
    async with captured(database) as app:
        found = await app.does("update people set first = 'Anna', last = 'Lee', nick = nick where id = 1")
        assert found == [updated("1", "first", "last")]


async def test_many_rows(database: str) -> None:
    """A statement leaves one note for each set of columns that differ, not one for each row."""
    async with captured(database) as app:
        found = await app.does("update people set first = 'Bob', last = 'Lee'")
        assert found == [updated("1 3", "first", "last"), updated("2", "last")]


async def test_nothing_of_interest(database: str) -> None:
    """Statements that change no captured column, or no row, leave no note."""
    async with captured(database) as app:
        for where in ("id = 1", "id > 1", "id > 9"):
            assert await app.does(f"update people set seen = now(), first = first where {where}") == []
            assert await app.does(f"delete from people where {where} and false") == []


async def test_rows_come_and_go(database: str) -> None:
    """Inserted and deleted rows are noted by their keys, an upsert as what it did; TRUNCATE as itself."""
    async with captured(database) as app:
        assert await app.does("insert into people (id) values (4), (5)") == [("I", frozenset(), ("4", "5"))]
        upsert = (
            "insert into people (id, last) values (5, 'Lee'), (6, 'Lee') on conflict (id) do update set last = 'Lee'"
        )
        assert await app.does(upsert) == [updated("5", "last"), ("I", frozenset(), ("6",))]
        assert await app.does("delete from people where id > 4") == [("D", frozenset(), ("5", "6"))]
        assert await app.does("truncate people") == [("T", frozenset(), ())]


async def test_a_key_changes(database: str) -> None:
    """The row that is gone and the one that came instead are both noted, alone or among others."""
    async with captured(database) as app:
        assert _keys(await app.does("update people set id = 4 where id = 1")) == {"1", "4"}
        assert _keys(await app.does("update people set id = id + 10")) == {"2", "3", "4", "12", "13", "14"}


def _keys(found: Sequence[Note]) -> set[str]:
    assert all("id" in columns for _, columns, _ in found)
    return {key for _, _, keys in found for key in keys}


async def test_values_that_have_no_equality(database: str) -> None:
    """Types that PostgreSQL cannot compare do not break the app's statement.

    Fails when values are compared as their type says.
    """
    async with captured(database) as app:
        for where, keys in (("id = 1", "1"), ("true", "1 2 3")):
            new = len(keys)
            found = await app.does(
                f"update people set tags = array['[{new}]']::json[], place = point({new}, 1) where {where}"
            )
            assert found == [updated(keys, "tags", "place")]


async def test_a_collation_that_calls_different_texts_equal(database: str) -> None:
    """A change of case is a change, whatever the column's collation thinks of it."""
    async with captured(database) as app:
        try:
            await app.db.execute(
                "create collation lax (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
            )
        except asyncpg.FeatureNotSupportedError:
            pytest.skip("this PostgreSQL was built without ICU")
        await app.db.execute("alter table people alter column nick type text collate lax")
        assert await app.does("update people set nick = upper(nick) where id = 1") == [updated("1", "nick")]
        assert await app.does("update people set nick = initcap(nick)") == [updated("1 2 3", "nick")]


async def test_a_bulk_statement_of_a_session_that_began_small(database: str) -> None:
    """A session may change one row first and many later: the plan that it keeps suits both.

    Fails when every row of a statement is compared with every other: this one takes minutes.
    """
    async with captured(database) as app:
        await app.does("insert into people (id) select generate_series(10, 40000)")
        assert await app.does("update people set last = 'Lee' where id = 1") == [updated("1", "last")]
        await app.does("update people set last = 'Roy' where id < 3")
        await app.db.execute("set statement_timeout = '30s'")
        ((_, columns, keys),) = await app.does("update people set last = 'Day' where id > 9")
        assert columns == {"last"}
        assert len(keys) == 39991


@pytest.mark.parametrize(
    "migration",
    [
        "alter column first type integer using null",
        "alter column last type json using null",
        "rename column nick to alias",
        "rename column id to number",
        "drop column id",
    ],
)
async def test_a_migration_of_the_app_while_nobody_looks(database: str, migration: str) -> None:
    """Columns move before the triggers are made anew: whatever the app does succeeds, and says that all may have changed.

    Fails when a trigger trips over a column that is gone, or that its expression can no longer compare.
    """
    everything = ("T", frozenset[str](), ())
    async with captured(database) as app:
        await app.does("update people set seen = now()")
        await app.db.execute(f"alter table people {migration}")
        assert everything in await app.does("update people set seen = now()")
        key_is_gone = "id" in migration.split()
        for statement in ("insert into people select * from people where false", "delete from people"):
            assert (everything in await app.does(statement)) == key_is_gone


async def test_triggers_are_renewed_by_whoever_may_make_them(database: str) -> None:
    """The rights that `check` asks for are enough: also once the mapping reads another column, or one was switched off.

    Fails when a trigger is dropped to be made anew, which only the table's owner may do.
    """
    owner, role = await asyncpg.connect(database), f"guest_{uuid.uuid4().hex[:8]}"
    parts = urlsplit(database)
    guest = urlunsplit(parts._replace(netloc=f"{role}:guest@{parts.netloc.rpartition('@')[2]}"))
    await owner.execute(f"create role {role} login password 'guest'")
    try:
        await owner.execute(f"{TABLES} grant select, trigger on people to {role}")
        await owner.execute(f"grant create on database {parts.path[1:]} to {role}")
        pool = await Database.connect(guest, size=1)
        try:
            await migrate(pool)
            for columns in (COLUMNS[:2], COLUMNS):
                async with pool.transaction() as db:
                    table = (await describe(db, [("public", "people")]))["public", "people"]
                    wanted = Capture("acme", "people", Shape("acme/people", table, "id", columns), columns)
                    assert await install(db, wanted)
                await owner.execute("alter table people disable trigger user")
            async with pool.transaction() as db:
                assert await install(db, wanted)
                assert not await install(db, wanted)
        finally:
            await pool.close()
    finally:
        await owner.execute(f"drop schema if exists connector cascade; drop owned by {role} cascade; drop role {role}")
        await owner.close()


def test_mappings_with_long_names_have_triggers_of_their_own() -> None:
    """PostgreSQL keeps 63 bytes of a name; two captures that begin alike would else share one function."""
    shape = Shape("any", Table("public", "people", {}, ("id",)), "id", ())
    mappings = ("ü" * 40, "ü" * 40 + " renewals", "u")
    names = [Capture("customer-success", mapping, shape, ()).name for mapping in mappings]
    assert len(set(names)) == len(names)
    assert all(len(f"{name} ins".encode()) < 64 for name in names)
    assert names[2] == "capture customer-success/u"
