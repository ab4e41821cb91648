"""Backups and copies of a whole database as tests make them, and what a person says of them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from connector.core.identity import Role
from connector.store import roles
from tests.engine.rig import Rig


@asynccontextmanager
async def backup(world: Rig) -> AsyncIterator[str]:
    """The DSN of a copy of the database as it is now, until the end of the block. No daemon may run on it."""
    copy = _beside(world.dsn, f"test_{uuid.uuid4().hex}")
    await world.db.close()
    await _on_server(world.dsn, f"create database {_name(copy)} template {_name(world.dsn)}")
    world.db = await asyncpg.connect(world.dsn)
    try:
        yield copy
    finally:
        await _on_server(world.dsn, f"drop database {_name(copy)} with (force)")


async def restore(world: Rig, copy: str) -> None:
    """The database is what it was when it was backed up; under its name, but to PostgreSQL it is another one."""
    await world.db.close()
    await _on_server(world.dsn, f"drop database {_name(world.dsn)} with (force)")
    await _on_server(world.dsn, f"create database {_name(world.dsn)} template {_name(copy)}")
    world.db = await asyncpg.connect(world.dsn)


@asynccontextmanager
async def elsewhere(world: Rig, dsn: str, directory: Path) -> AsyncIterator[Rig]:
    """The same set on a copy of the database, against the same CRM, by a daemon of its own with the same environment."""
    directory.mkdir()
    for file in world.directory.iterdir():
        (directory / file.name).write_bytes(file.read_bytes())
    public = f"http://127.0.0.1:{world.port}" if world.port is not None else None
    db = await asyncpg.connect(dsn)
    other = replace(world, dsn=dsn, directory=directory, db=db, port=None, public=public, daemon=None, _task=None)
    try:
        yield other
    finally:
        await other.stop()
        await other.db.close()


async def role(world: Rig) -> str:
    """What the database is to the connection."""
    found: str = await world.db.fetchval("select role from connector.connection")
    return found


async def becomes(world: Rig, wanted: Role) -> None:
    """Waits until the daemon works with a database of that role."""

    async def so() -> bool:
        context = world.daemon.running["test"].context if world.daemon is not None else None
        return context is not None and context.gates.role is wanted

    await world.until(so)


async def say(world: Rig, word: Role) -> None:
    """A person says what the database is; the daemon has heard it."""
    async with world.db.transaction():
        await roles.choose(world.db, "test", word, await roles.here(world.db))  # type: ignore[arg-type]
    if world.daemon is not None:
        await world.ask("gates", {})


async def returned(world: Rig) -> None:
    """Says that it is the original, and waits until everything is paired again and nothing is left to do."""
    await say(world, Role.RETURNING)
    await becomes(world, Role.ORIGINAL)
    await world.idle()
    await world.quiet()


async def _on_server(dsn: str, statement: str) -> None:
    server = await asyncpg.connect(_beside(dsn, "postgres"))
    try:
        await server.execute(statement)
    finally:
        await server.close()


def _beside(dsn: str, name: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


def _name(dsn: str) -> str:
    return f'"{urlsplit(dsn).path.removeprefix("/")}"'
