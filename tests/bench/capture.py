"""What the capture triggers cost the application's own statements."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg

from connector.core.schema import Table
from connector.local.capture import Capture, install
from connector.local.catalogue import describe
from connector.local.tables import Shape
from connector.postgres.cluster import EmbeddedCluster
from connector.store.db import Database, migrate

COLUMNS = 16
ROWS = 10_000
ROUNDS = 9
WRITERS = 16
SECONDS = 3.0
NAMES = [f"c{n}" for n in range(COLUMNS - 1)]


async def run() -> dict[str, float]:
    """Ratios with triggers to without: bulk UPDATE, one row (also the difference in ms), many writers' rate."""
    with tempfile.TemporaryDirectory(prefix="connector-bench-") as home, EmbeddedCluster(Path(home)) as cluster:
        database = await Database.connect(cluster.dsn)
        try:
            await migrate(database)
            await _tables(database)
            return await _compare(database, cluster.dsn)
        finally:
            await database.close()


async def _tables(database: Database) -> None:
    columns = ", ".join(f"{name} text" for name in NAMES)
    async with database.session() as db:
        for name in ("plain", "captured"):
            await db.execute(f"create table {name} (id bigint primary key, {columns})")
            for column in NAMES[:4]:
                await db.execute(f"create index on {name} ({column})")
            values = ", ".join(f"'value ' || i || '{column}'" for column in NAMES)
            await db.execute(f"insert into {name} select i, {values} from generate_series(1, {ROWS}) i")
        await db.execute("vacuum analyze")
        tables = await describe(db, [("public", "captured")])
    async with database.transaction() as db:
        await install(db, _capture(tables["public", "captured"]))


def _capture(table: Table) -> Capture:
    shape = Shape("bench/captured", table, "id", tuple(NAMES))
    return Capture("bench", "captured", shape, ("id", *NAMES))


async def _compare(database: Database, dsn: str) -> dict[str, float]:
    async with database.session() as db:
        bulk = await _alternate(lambda table: _bulk(db, table))
        single = await _alternate(lambda table: _single(db, table))
    writers = await _alternate(lambda table: _writers(dsn, table), rounds=3)
    return {
        "bulk_ratio": bulk["captured"] / bulk["plain"],
        "row_added_ms": (single["captured"] - single["plain"]) * 1000,
        "writers_ratio": writers["captured"] / writers["plain"],
    }


async def _alternate(measure: Callable[[str], Awaitable[float]], rounds: int = ROUNDS) -> dict[str, float]:
    figures: dict[str, list[float]] = {"plain": [], "captured": []}
    for _ in range(rounds):
        for table, found in figures.items():
            found.append(await measure(table))
    return {table: statistics.median(found) for table, found in figures.items()}


async def _bulk(db: asyncpg.pool.PoolConnectionProxy, table: str) -> float:
    began = time.monotonic()
    await db.execute(f"update {table} set c5 = c5 || 'x'")
    seconds = time.monotonic() - began
    await db.execute(f"vacuum {table}")
    await db.execute("truncate connector.change")
    return seconds


async def _single(db: asyncpg.pool.PoolConnectionProxy, table: str) -> float:
    began = time.monotonic()
    for key in range(1, 201):
        await db.execute(f"update {table} set c6 = 'y' || c6 where id = $1", key)
    return (time.monotonic() - began) / 200


async def _writers(dsn: str, table: str) -> float:
    """Transactions per second of writers that each own a part of the table."""
    counts = await asyncio.gather(*(_write(dsn, table, number) for number in range(WRITERS)))
    return sum(counts) / SECONDS


async def _write(dsn: str, table: str, number: int) -> int:
    db = await asyncpg.connect(dsn)
    try:
        ends, done = time.monotonic() + SECONDS, 0
        while time.monotonic() < ends:
            key = number * (ROWS // WRITERS) + done % (ROWS // WRITERS) + 1
            await db.execute(f"update {table} set c7 = $2 where id = $1", key, str(done))
            done += 1
        return done
    finally:
        await db.close()
