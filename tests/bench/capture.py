"""What the capture triggers cost the application's own statements.

Three tables alike, measured in turns on a durable server: `plain` has no trigger, `captured` has ours on all of its 16
columns, `floor` has a trigger of the same kind that looks at nothing and notes a constant: what no capture can do
without. No daemon runs. Every session begins with single rows, as those of an application's pool do.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import asyncpg

from connector.core.schema import Table
from connector.local.capture import Capture, install
from connector.local.catalogue import describe
from connector.local.tables import Shape
from connector.postgres.binaries import find_binaries
from connector.postgres.cluster import EmbeddedCluster
from connector.store.db import Database, migrate
from tests.bench.cores import had, had_by_ended, parent

ROWS = 10_000
BULKS, SINGLES, RUSHES = 15, 9, 5
SINGLE_ROWS = 300
WRITERS, SECONDS = 16, 4
LEAVE = 0.5
"""Seconds in which the sessions of the writers have ended."""
NAMES = [f"c{n}" for n in range(15)]
TABLES = ("plain", "floor", "captured")
FLOOR = """
create function note_a_constant() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$ begin
    if pg_trigger_depth() = 1 and current_setting('connector.origin', true) = 'bench/floor' then return null; end if;
    insert into connector.change (connection, mapping, capture, op, columns, keys)
    values ('bench', 'floor', 0, 'U', 1, '{1}');
    return null;
end $$;
create trigger note_a_constant after update on floor
referencing old table as old_rows new table as new_rows for each statement execute function note_a_constant();
"""
RUSH = r"""
\set id random(1, 10000)
\set value random(1, 1000000000)
update {table} set c7 = :value::text where id = :id;
"""


class Cost(NamedTuple):
    """Of one statement: seconds until it is answered, and seconds of a core. On a busy machine trust the latter."""

    time: float
    cpu: float


Measured = Mapping[str, Sequence[Cost]]
"""By table, in rounds."""


async def run() -> dict[str, float]:
    """What `captured` and `floor` cost against `plain`, by the clock and by CPU time.

    Bulk UPDATE: ratio. One row: milliseconds more. Many writers: their rate as a share; by CPU, the rate that a machine
    reaches which has nothing else to wait for.
    """
    with tempfile.TemporaryDirectory(prefix="connector-bench-") as home, EmbeddedCluster(Path(home)) as cluster:
        database = await Database.connect(cluster.dsn)
        try:
            await migrate(database)
            await _tables(database)
        finally:
            await database.close()
        return await _compare(cluster.dsn, Path(home))


async def _tables(database: Database) -> None:
    columns = ", ".join(f"{name} text" for name in NAMES)
    values = ", ".join(f"'value ' || i || '{name}'" for name in NAMES)
    async with database.session() as db:
        for table in TABLES:
            await db.execute(f"create table {table} (id bigint primary key, {columns})")
            for column in NAMES[:4]:
                await db.execute(f"create index on {table} ({column})")
            await db.execute(f"insert into {table} select i, {values} from generate_series(1, {ROWS}) i")
        await db.execute(FLOOR)
        await db.execute("vacuum analyze")
        found = await describe(db, [("public", "captured")])
    async with database.transaction() as db:
        await install(db, _capture(found["public", "captured"]))


def _capture(table: Table) -> Capture:
    shape = Shape("bench/captured", table, "id", tuple(NAMES))
    return Capture("bench", "captured", shape, ("id", *NAMES))


async def _compare(dsn: str, home: Path) -> dict[str, float]:
    db = await asyncpg.connect(dsn)
    try:
        pid = await db.fetchval("select pg_backend_pid()")
        single = await _in_turns(db, SINGLES, lambda table: _single(db, table, pid))
        bulk = await _in_turns(db, BULKS, lambda table: _bulk(db, table, pid))
        rush = await _in_turns(db, RUSHES, lambda table: _rush(dsn, home, table, parent(pid)))
    finally:
        await db.close()
    figures = {"plain_writers_per_s": 1 / statistics.median(cost.time for cost in rush["plain"])}
    for table in ("captured", "floor"):
        for place, kind in enumerate(Cost._fields):
            figures[f"{table}_bulk_{kind}"] = _ratio(bulk, table, place)
            figures[f"{table}_row_{kind}_ms"] = _added(single, table, place) * 1000
            figures[f"{table}_writers_{kind}"] = 1 / _ratio(rush, table, place)
    return figures


async def _in_turns(db: asyncpg.Connection, rounds: int, measure: Callable[[str], Awaitable[Cost]]) -> Measured:
    """Each table once a round; the first round, in which plans are made, does not count."""
    costs: dict[str, list[Cost]] = {table: [] for table in TABLES}
    for _ in range(rounds + 1):
        for table, found in costs.items():
            found.append(await measure(table))
            await db.execute(f"vacuum {table}")
            await db.execute("truncate connector.change")
    return {table: found[1:] for table, found in costs.items()}


def _ratio(costs: Measured, table: str, place: int) -> float:
    """The median over the rounds, so that a slow moment of the machine falls on both."""
    return statistics.median(one[place] / plain[place] for one, plain in zip(costs[table], costs["plain"], strict=True))


def _added(costs: Measured, table: str, place: int) -> float:
    return statistics.median(one[place] - plain[place] for one, plain in zip(costs[table], costs["plain"], strict=True))


async def _single(db: asyncpg.Connection, table: str, pid: int) -> Cost:
    """An UPDATE of one row."""
    statement = await db.prepare(f"update {table} set c6 = $2 where id = $1")
    began, before = time.monotonic(), had(pid)
    for key in range(1, SINGLE_ROWS + 1):
        await statement.fetch(key, str(began))
    return Cost((time.monotonic() - began) / SINGLE_ROWS, (had(pid) - before) / SINGLE_ROWS)


async def _bulk(db: asyncpg.Connection, table: str, pid: int) -> Cost:
    """An UPDATE of all rows."""
    began, before = time.monotonic(), had(pid)
    await db.execute(f"update {table} set c5 = 'x' || c5")
    return Cost(time.monotonic() - began, had(pid) - before)


async def _rush(dsn: str, home: Path, table: str, postmaster: int) -> Cost:
    """A transaction of many writers; pgbench, since a client in Python would be what is measured."""
    script = home / f"{table}.sql"
    script.write_text(RUSH.format(table=table), encoding="utf-8")
    pgbench = str(find_binaries().directory / "pgbench")
    before = had_by_ended(postmaster) + had_by_ended(os.getpid())
    process = await asyncio.create_subprocess_exec(
        pgbench, "--no-vacuum", "--protocol=prepared", f"--client={WRITERS}", f"--time={SECONDS}", f"--file={script}",
        dsn, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    said, _ = await process.communicate()
    done, rate = re.search(rb"actually processed: (\d+)", said), re.search(rb"tps = ([\d.]+)", said)
    if done is None or rate is None:
        raise RuntimeError(f"pgbench failed: {said!r}")
    await asyncio.sleep(LEAVE)
    return Cost(1 / float(rate[1]), (had_by_ended(postmaster) + had_by_ended(os.getpid()) - before) / int(done[1]))
