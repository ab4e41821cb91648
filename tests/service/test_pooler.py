"""Behind a transaction pooler no session is anybody's: neither its settings nor its statements nor its locks."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import asyncpg

from connector.store.db import Database, migrate
from tests.engine.rig import rig
from tests.service.pooler import Pooler

TABLES = """
create schema app;
create table app.contacts (id bigint generated always as identity primary key, name text, email text, born date,
  seen interval, crm_id bigint);
"""
CONTACT = """
object: person
table: app.contacts
key: id
direction: both
match: [email]
fields:
  - {column: name, crm: name}
  - {column: email, crm: emails, as: primary}
  - {column: born, crm: Birth date}
  - {column: crm_id, crm: id}
"""
ODD = """do $$ begin
  execute format('alter database %I set datestyle = ''SQL, DMY''', current_database());
  execute format('alter database %I set timezone = ''Asia/Tokyo''', current_database());
end $$"""


async def test_both_sides_agree_through_a_pooler(database: str, tmp_path: Path) -> None:
    """The whole job, restart included, on a database whose own spelling of dates is another one."""
    files = {"contact.yaml": CONTACT}
    async with Pooler(database) as pooler, rig(database, tmp_path / "set", files, TABLES, webhooks=True) as world:
        await world.db.execute(ODD)
        world.dsn = pooler.dsn
        field = await world.crm("POST", "/api/v2/personFields", {"field_name": "Birth date", "field_type": "date"})
        key = field["field_code"]
        for number in range(30):
            await world.person(name=f"P {number}", emails=[{"value": f"p{number}@x.test", "primary": True}])
        await world.start()
        await world.until(lambda: world.db.fetchval("select count(*) = 30 from app.contacts"))
        await world.db.execute(
            "insert into app.contacts (name, email, born) values ('Ada', 'ada@x.test', date '1990-02-03')"
        )
        await world.quiet()
        person = await world.db.fetchval("select crm_id from app.contacts where name = 'Ada'")
        record = await world.crm("GET", f"/api/v2/persons/{person}")
        assert record["custom_fields"][key] == "1990-02-03"
        await world.stop()
        await world.start(fetch_all=False)
        body = {"name": "Ada L", "custom_fields": {key: "1991-12-11"}}
        await world.crm("PATCH", f"/api/v2/persons/{person}", body)
        born = "select born from app.contacts where name = 'Ada L'"
        assert await world.until(lambda: world.db.fetchval(born)) == date(1991, 12, 11)
        await world.db.execute("update app.contacts set name = name || '!' where id <= 31")
        await world.quiet()
        names = [each["name"] for each in await world.crm("GET", "/api/v2/persons", limit=100)]
        assert all(name.endswith("!") for name in names)
        assert pooler.transactions > 100
        assert pooler.refused == []


async def test_a_session_says_how_values_are_spelt(database: str) -> None:
    """In every use anew, and nothing is left behind for others."""
    async with Pooler(database) as pooler:
        through = await Database.connect(pooler.dsn, size=3)
        try:
            async with through.session() as db:
                assert await db.fetchval(
                    "select (date '2026-02-01')::text || ' ' || current_setting('intervalstyle')"
                ) == ("2026-02-01 iso_8601")
            plain = await asyncpg.connect(pooler.dsn, statement_cache_size=0)
            for _ in range(4):
                assert await plain.fetchval("select current_setting('intervalstyle')") == "postgres"
            await plain.close()
        finally:
            await through.close()


async def test_many_may_migrate_at_once_without_a_session_s_lock(database: str) -> None:
    """Whoever comes second finds it done; no lock is left behind."""
    async with Pooler(database) as pooler:
        many = [await Database.connect(pooler.dsn, size=2) for _ in range(4)]
        applied = await asyncio.gather(*(migrate(each) for each in many))
        assert sum(bool(names) for names in applied) == 1
        async with many[0].session() as db:
            assert await db.fetchval("select count(*) from pg_locks where locktype = 'advisory'") == 0
        await asyncio.gather(*(each.close() for each in many))


async def test_a_direct_connection_keeps_its_sessions(database: str) -> None:
    """What a pooler needs costs nobody else a round trip: no transaction around a single question."""
    direct = await Database.connect(database, size=2)
    async with direct.session() as db:
        assert not db.is_in_transaction()
        began = datetime.now(UTC)
        assert await db.fetchval("select clock_timestamp() - $1 < interval '1 minute'", began - timedelta(seconds=1))
    await direct.close()
