"""Commands where no daemon runs: they do the work themselves, with what the last one left in the database."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from tests.cli.conftest import MAPPINGS, PATIENCE, PERSONS, Demo, Sides, connector, until
from tests.ports import free_port


@pytest.fixture
async def left(demo: Demo, database: str, tmp_path: Path) -> dict[str, str]:
    """The variables of a database in which a daemon ran for a moment, on the demo's sandbox."""
    db = await asyncpg.connect(database)
    await db.execute((MAPPINGS / "tables.sql").read_text(encoding="utf-8"))
    await db.close()
    variables = _variables(demo, database)
    async with _daemon(tmp_path, "alone", variables):
        pass
    return variables


def _variables(demo: Demo, database: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database,
        "CONNECTOR_SECRET_KEY": "a key for tests",
        "CONNECTOR_LISTEN": f"127.0.0.1:{free_port()}",
        "PIPEDRIVE_URL": demo.facts["sandbox_url"],
        "PIPEDRIVE_API_TOKEN": demo.facts["sandbox_api_token"],
    }


@asynccontextmanager
async def _daemon(directory: Path, name: str, variables: dict[str, str]) -> AsyncIterator[None]:
    """A daemon with the shipped set under another name, from when the set is applied."""
    shutil.copytree(MAPPINGS, directory / name)
    text = (directory / name / "connection.yaml").read_text(encoding="utf-8")
    (directory / name / "connection.yaml").write_text(text.replace("sales-engagement", name), encoding="utf-8")
    db = await asyncpg.connect(variables["DATABASE_URL"])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "connector", "run", str(directory / name)),
        env={**os.environ, **variables},
        stderr=subprocess.DEVNULL,
    )
    try:
        await until(lambda: _alive(process, db.fetchval("select to_regclass('connector.set') is not null")))
        await until(
            lambda: _alive(process, db.fetchval("select count(*) from connector.set where connection = $1", name))
        )
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), PATIENCE)
        await db.close()


async def _alive(process: asyncio.subprocess.Process, answer: Awaitable[object]) -> object:
    """The answer; fails the test when the daemon has ended by itself."""
    assert process.returncode is None
    return await answer


async def _rows(database_url: str, email: str) -> None:
    """A row whose record exists, and two of one e-mail that nobody has."""
    db = await asyncpg.connect(database_url)
    await db.executemany(
        "insert into app.contacts (first_name, email) values ('New', $1)",
        [(email,), ("new@one.test",), ("new@one.test",)],
    )
    await db.close()


async def test_commands_take_the_place_of_the_daemon(left: dict[str, str], sides: Sides) -> None:
    """Triggers, fetch-all and wait work alone, as counted before; without the secret key a command says what it lacks."""
    await _rows(left["DATABASE_URL"], (await sides.someone(PERSONS - 2))["email"])
    migrated = await connector("migrate", **left)
    assert "triggers of 7 mappings" in migrated.err
    keyless = await connector("wait", DATABASE_URL=left["DATABASE_URL"])
    assert (keyless.code, "CONNECTOR_SECRET_KEY" in keyless.err) == (1, True)
    fetched = await connector("fetch-all", "--yes", "--json", **left)
    counts = fetched.json["alone"]["mappings"]["contact"]
    assert {word: counts[word] for word in ("creates", "adopts", "inserts", "duplicates", "ambiguous")} == {
        "creates": 1,
        "adopts": 1,
        "inserts": PERSONS - 1,
        "duplicates": 1,
        "ambiguous": 0,
    }
    assert fetched.json["alone"]["needs_person"]["parked"] == 1
    assert (await connector("wait", "--timeout", "40", **left)).code == 0
    (told,) = (await connector("status", "--json", **left)).json["connections"]
    assert (told["owner"], [window["name"] for window in told["budget"]]) == (None, ["daily"])
    linked = {mapping["mapping"]: mapping["linked"] for mapping in told["mappings"]}
    assert linked["contact"] == PERSONS + 1


async def test_a_connection_that_was_renamed_is_left_alone(left: dict[str, str], tmp_path: Path) -> None:
    """Its name in the files is another now: `wait` works for the one that the daemon runs, and wakes the old one no more."""
    db = await asyncpg.connect(left["DATABASE_URL"])
    epoch = await db.fetchval("select epoch from connector.lease where connection = 'alone'")
    async with _daemon(tmp_path, "renamed", left):
        done = await connector("wait", "--timeout", "40", "--json", **left)
    assert (done.code, list(done.json["connections"])) == (0, ["renamed"])
    assert "alone: left alone" in done.err
    assert await db.fetchval("select epoch from connector.lease where connection = 'alone'") == epoch
    await db.close()
