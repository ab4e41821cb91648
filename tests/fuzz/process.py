"""The daemon under fire: started with a sandbox and a database, and measured from outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from connector.sandbox.server import Sandbox, Settings, running
from connector.store import passwords
from connector.store.cipher import Cipher
from tests.engine.business import FILES, TABLES
from tests.fuzz.requests import STRANGER, Door
from tests.ports import free_port

NAME, KEY = "fuzz", "key"
CONNECTION = """
crm: pipedrive
name: fuzz
url: env:FUZZ_URL
credentials: {api_token: env:FUZZ_TOKEN}
sweep: {recent: 1h, full: 30d}
brake: {records: 1000000, percent: 100}
"""
COUNTING = f"""
create schema fuzz; create table fuzz.stored (stranger boolean, events bigint);
create function fuzz.count() returns trigger language plpgsql security definer as $$ begin
  insert into fuzz.stored select n.crm_id like '{STRANGER}%', count(*) from new_rows n group by 1; return null; end $$;
create trigger fuzz after insert on connector.event referencing new table as new_rows
  for each statement execute function fuzz.count();
"""
STORED = """
select coalesce(sum(events) filter (where stranger), 0), coalesce(sum(events) filter (where not stranger), 0)
from fuzz.stored
"""
SIZES = """
select (select count(*) from connector.event) as events, (select count(*) from connector.link) as links,
       (select count(*) from connector.work) as work, (select count(*) from connector.journal) as journal,
       (select count(*) from connector.link where crm_id like $1) as strangers,
       (select sum(pg_total_relation_size(c.oid)) from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'connector' and c.relkind = 'r')::bigint / 1024 as kib
"""


@dataclass(frozen=True, slots=True)
class Measure:
    """How much there is of everything that must not grow. Descriptors without those of the pools towards database and CRM."""

    rss_kib: int
    descriptors: int
    tasks: int
    tables: Mapping[str, int]


@dataclass(slots=True)
class Target:
    """The daemon's process, and the database as the harness sees it."""

    process: asyncio.subprocess.Process
    door: Door
    db: asyncpg.Connection

    @property
    def alive(self) -> bool:
        """False once the process has ended."""
        return self.process.returncode is None

    async def measure(self) -> Measure:
        """Now."""
        self.process.send_signal(signal.SIGUSR1)
        row = await self.db.fetchrow(SIZES, f"{STRANGER}%")
        assert row is not None
        tables = {name: int(count) for name, count in row.items()}
        return Measure(
            _rss(self.process.pid), _descriptors(self.process.pid, self.door.port), await self._line(), tables
        )

    async def stored(self) -> tuple[int, int]:
        """Events stored so far: of strangers, of friends."""
        row = await self.db.fetchrow(STORED)
        assert row is not None
        return int(row[0]), int(row[1])

    async def quiet(self, patience: float = 300.0) -> bool:
        """True once every event is folded, and whatever came of it is done or parked."""
        async with asyncio.timeout(patience):
            while self.alive and await self.db.fetchval(
                "select exists (select 1 from connector.event) or exists (select 1 from connector.work where state <> 'parked')"
            ):
                await asyncio.sleep(0.05)
        return self.alive

    async def causes(self) -> Mapping[str, int]:
        """What parked records are parked for."""
        rows = await self.db.fetch(
            "select cause, count(*) from connector.work where state = 'parked' group by 1 order by 1"
        )
        return {row[0]: row[1] for row in rows}

    async def _line(self) -> int:
        assert self.process.stdout is not None
        return int(await asyncio.wait_for(self.process.stdout.readline(), 60))


@asynccontextmanager
async def target(dsn: str, home: Path, log: Path) -> AsyncIterator[Target]:
    """A daemon between an empty database and a sandbox with some records; its log lines go to a file."""
    db = await asyncpg.connect(dsn)
    async with running(Settings(records=20)) as sandbox:
        try:
            await db.execute(TABLES)
            port = free_port()
            process = await _started(dsn, home, log, sandbox, port)
            try:
                yield await _ready(process, db, port)
            finally:
                if process.returncode is None:
                    process.terminate()
                await process.wait()
        finally:
            await db.close()


async def _started(dsn: str, home: Path, log: Path, sandbox: Sandbox, port: int) -> asyncio.subprocess.Process:
    directory = home / NAME
    directory.mkdir()
    for name, text in {"connection.yaml": CONNECTION, **FILES}.items():
        (directory / name).write_text(text, encoding="utf-8")
    listen = f"127.0.0.1:{port}"
    variables = {
        "DATABASE_URL": dsn, "CONNECTOR_SECRET_KEY": KEY, "CONNECTOR_LISTEN": listen, "CONNECTOR_LOG": "json",
        "CONNECTOR_PUBLIC_URL": f"http://{listen}", "FUZZ_URL": sandbox.url, "FUZZ_TOKEN": sandbox.token,
    }  # fmt: skip
    with log.open("wb") as lines:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.fuzz.daemon", str(directory)),
            stdout=asyncio.subprocess.PIPE,
            stderr=lines,
            env={**os.environ, **variables},
        )


async def _ready(process: asyncio.subprocess.Process, db: asyncpg.Connection, port: int) -> Target:
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 60), "the daemon did not start"
    await db.execute(COUNTING)
    request = await db.fetchval(
        "insert into connector.request (connection, kind, args, asked_at) values ($1, 'fetch_all', $2, now()) returning id",
        NAME,
        json.dumps({"confirmed": True}),
    )
    while not await db.fetchval("select state in ('done', 'failed') from connector.request where id = $1", request):
        await asyncio.sleep(0.05)
    now = await db.fetchval("select now()")
    (newest, *_) = (await passwords.valid(db, [NAME], now))[NAME]  # type: ignore[arg-type]
    return Target(process, Door("127.0.0.1", port, NAME, "connector", newest.read(Cipher(KEY), NAME)), db)


def _rss(pid: int) -> int:
    """Resident memory in KiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0])


def _descriptors(pid: int, port: int) -> int:
    """Open files and sockets, without connections that are not to our port."""
    open_now = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            open_now.append(str(each.readlink()))
    elsewhere = {f"socket:[{inode}]" for local, inode in _connections() if local != port}
    return sum(each not in elsewhere for each in open_now)


def _connections() -> Iterator[tuple[int, str]]:
    """Local port and inode of every TCP socket of the machine."""
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        words = line.split()
        yield int(words[1].split(":")[1], 16), words[9]
