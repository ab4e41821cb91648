"""The stage of a measurement: PostgreSQL, sandbox and daemon, each a process of its own."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from connector.postgres.cluster import EmbeddedCluster
from tests.bench import cpu
from tests.ports import free_port

TABLES = """
create schema app;
create table app.people (
    id bigint generated always as identity primary key,
    first text, last text, email text, phone text, owner text, score numeric, notes text, tier text, since date,
    website text, pipedrive_id bigint, updated timestamptz not null default now());
create function app.touch() returns trigger language plpgsql as $$ begin new.updated := now(); return new; end $$;
create trigger touch before insert or update on app.people for each row execute function app.touch();
create index on app.people (lower(btrim(email::text, E' \\t\\n\\r\\f\\v')));
create table app.remarks (
    id bigint generated always as identity primary key, person bigint references app.people, body text);
"""
PERSON = """
object: person
table: app.people
key: id
direction: both
match: [email]
fields:
  - {column: first, crm: first_name}
  - {column: last, crm: last_name}
  - {column: email, crm: emails, as: primary}
  - {column: phone, crm: phones, as: primary}
  - {column: owner, crm: owner_id, as: user_email}
  - {column: pipedrive_id, crm: id}
  - {column: score, crm: Score}
  - {column: notes, crm: Remarks}
  - {column: tier, crm: Tier, values: {gold: Gold, silver: Silver}}
  - {column: since, crm: Since}
  - {column: website, crm: Website}
"""
NOTE = """
object: note
table: app.remarks
key: id
direction: send
fields:
  - {column: person, crm: person_id, link: person}
  - {column: body, crm: content}
"""
CONNECTION = """
crm: pipedrive
name: bench
url: env:PIPEDRIVE_URL
credentials: {api_token: env:PIPEDRIVE_API_TOKEN}
sweep: {recent: 1h, full: 30d}
brake: {records: 1000000, percent: 100}
"""
CUSTOM_FIELDS: tuple[dict[str, Any], ...] = (
    {"field_name": "Score", "field_type": "double"},
    {"field_name": "Remarks", "field_type": "text"},
    {"field_name": "Tier", "field_type": "enum", "options": [{"label": "Gold"}, {"label": "Silver"}]},
    {"field_name": "Since", "field_type": "date"},
    {"field_name": "Website", "field_type": "varchar"},
)


@dataclass(slots=True)
class Stage:
    """What a measurement uses."""

    db: asyncpg.Connection
    spare: asyncpg.Connection
    """A second session, for polling."""
    http: aiohttp.ClientSession
    dsn: str
    sandbox_url: str
    daemon: asyncio.subprocess.Process
    sandbox: asyncio.subprocess.Process
    people: Iterator[str]
    """Tokens of the users but the one whose token the daemon has, again and again."""

    async def crm(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """Calls the sandbox; the answer's data."""
        headers = {"x-api-token": next(self.people)}
        async with self.http.request(
            method, self.sandbox_url + path, json=body, params=params, headers=headers
        ) as response:
            answer = await response.json()
            if response.status >= 400:
                raise RuntimeError(f"{method} {path}: {response.status} {answer}")
            return answer["data"]

    async def ask(self, kind: str, args: Mapping[str, Any]) -> Any:
        """Has the daemon do something and waits for it; the answer."""
        request = await self.db.fetchval(
            "insert into connector.request (connection, kind, args, asked_at) values ('bench', $1, $2, now()) returning id",
            kind,
            json.dumps(args),
        )
        while not await self.db.fetchval(
            "select state in ('done', 'failed') from connector.request where id = $1", request
        ):
            await asyncio.sleep(0.02)
        return json.loads(await self.db.fetchval("select result from connector.request where id = $1", request))

    async def idle(self) -> None:
        """Waits until there are neither notes nor work nor open intents."""
        while await self.db.fetchval(
            """select exists (select 1 from connector.work where state <> 'parked')
                   or exists (select 1 from connector.change) or exists (select 1 from connector.event)
                   or exists (select 1 from connector.intent)"""
        ):
            await asyncio.sleep(0.005)

    async def tokens(self) -> float:
        """What the sandbox has charged so far."""
        stats = await self.crm("GET", "/sandbox/stats")
        return float(sum(stats["tokens"].values()))

    async def until(self, query: str, *args: Any) -> None:
        """Waits until a query says true."""
        while not await self.db.fetchval(query, *args):
            await asyncio.sleep(0.005)

    async def cpu(self) -> dict[str, float]:
        """Seconds of processor time so far, of the daemon, PostgreSQL and the sandbox."""
        backend = await self.db.fetchval("select pg_backend_pid()")
        postmaster = cpu.parent(backend)
        return {
            "daemon": cpu.seconds(self.daemon.pid),
            "postgres": cpu.seconds(postmaster),
            "sandbox": cpu.seconds(self.sandbox.pid),
        }

    def memory(self) -> float:
        """The daemon's peak resident memory in MiB."""
        status = Path(f"/proc/{self.daemon.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) / 1024


@asynccontextmanager
async def stage(*, limits: str = "off", webhooks: bool = True, fetch_all: bool = True) -> AsyncIterator[Stage]:
    """Everything started, custom fields made, the first (empty) fetch-all done."""
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="connector-bench-")))
        cluster = await asyncio.to_thread(EmbeddedCluster(home / "postgres").__enter__)
        stack.callback(cluster.__exit__, None, None, None)
        sandbox, said = await _sandbox(home, limits)
        stack.push_async_callback(_end, sandbox)
        http = await stack.enter_async_context(aiohttp.ClientSession(headers={"x-api-token": said["api_token"]}))
        db = await asyncpg.connect(cluster.dsn)
        stack.push_async_callback(db.close)
        spare = await asyncpg.connect(cluster.dsn)
        stack.push_async_callback(spare.close)
        await db.execute(TABLES)
        for field in CUSTOM_FIELDS:
            async with http.post(f"{said['url']}/api/v2/personFields", json=field) as response:
                response.raise_for_status()
        daemon = await _daemon(home, cluster.dsn, said, webhooks=webhooks)
        stack.push_async_callback(_end, daemon)
        async with http.get(f"{said['url']}/sandbox/tokens") as response:
            users = [user["token"] for user in (await response.json())["data"]]
        people = itertools.cycle([token for token in users if token != said["api_token"]])
        made = Stage(db, spare, http, cluster.dsn, said["url"], daemon, sandbox, people)
        await _ready(made)
        if fetch_all:
            await made.ask("fetch_all", {"confirmed": True})
        yield made


async def _sandbox(home: Path, limits: str) -> tuple[asyncio.subprocess.Process, dict[str, str]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "connector", "sandbox", "--json", "--listen", f"127.0.0.1:{free_port()}",
        "--records", "0", "--limits", limits, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    return process, json.loads(await asyncio.wait_for(process.stdout.readline(), 30))


async def _daemon(home: Path, dsn: str, said: Mapping[str, str], *, webhooks: bool) -> asyncio.subprocess.Process:
    directory = home / "bench"
    directory.mkdir()
    (directory / "connection.yaml").write_text(CONNECTION, encoding="utf-8")
    (directory / "person.yaml").write_text(PERSON, encoding="utf-8")
    (directory / "note.yaml").write_text(NOTE, encoding="utf-8")
    listen = f"127.0.0.1:{free_port()}"
    environment = {
        **os.environ,
        "DATABASE_URL": dsn,
        "CONNECTOR_LISTEN": listen,
        "CONNECTOR_SECRET_KEY": "bench",
        "CONNECTOR_LOG_LEVEL": "warning",
        "PIPEDRIVE_URL": said["url"],
        "PIPEDRIVE_API_TOKEN": said["api_token"],
        **({"CONNECTOR_PUBLIC_URL": f"http://{listen}"} if webhooks else {}),
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "connector", "run", str(directory), env=environment
    )


async def _ready(made: Stage) -> None:
    while not await made.db.fetchval("select to_regclass('connector.capture') is not null"):
        await asyncio.sleep(0.05)
    while not await made.db.fetchval("select exists (select 1 from connector.sweep where finished_at is not null)"):
        await asyncio.sleep(0.05)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        await process.wait()
