"""Many connections on one database: each has a CRM account, tables and a mapping set of its own, and its people."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import asyncpg

from connector.sandbox.company import Clock as SandboxClock
from connector.sandbox.server import Sandbox, Settings, running
from connector.store import brakes, connections, report
from tests.engine.business import FILES, MAPPINGS, TABLES, Business
from tests.engine.rig import FastClock

SET = """
crm: pipedrive
name: {name}
url: env:{upper}_URL
credentials: {{api_token: env:{upper}_TOKEN}}
sweep: {{recent: 1h, full: 30d}}
brake: {{records: 100000, percent: 100}}
"""


@dataclass(slots=True)
class Tenant:
    """One connection and both its sides."""

    name: str
    directory: Path
    sandbox: Sandbox
    db: asyncpg.Connection
    people: Business
    http: aiohttp.ClientSession

    @property
    def variables(self) -> Mapping[str, str]:
        """What its connection.yaml asks of the environment."""
        upper = self.name.upper()
        return {f"{upper}_URL": self.sandbox.url, f"{upper}_TOKEN": self.sandbox.token}

    async def control(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> None:
        """Turns the sandbox: faults, webhook policy."""
        async with self.http.request(method, f"{self.sandbox.url}/sandbox/{path}", json=body) as response:
            assert response.status < 400, (path, response.status)

    async def ask(self, kind: str, args: Mapping[str, Any], clock: FastClock) -> None:
        """Queues a request and waits for its end."""
        request = await connections.ask(self.db, self.name, kind, args, clock.now())  # type: ignore[arg-type]
        while (state := await self._state(request)) != "done":
            assert state != "failed", f"{self.name}: {kind} failed"
            await asyncio.sleep(0.05)

    async def quiet(self, clock: FastClock, seconds: float) -> None:
        """Sweeps, then waits until nothing is left to do."""
        await self.ask("sweep", {"kind": "recent"}, clock)
        deadline = time.monotonic() + seconds
        while not await self._done(clock):
            assert time.monotonic() < deadline, f"{self.name} does not come to an end"
            await asyncio.sleep(0.05)

    async def _done(self, clock: FastClock) -> bool:
        left = await report.unfinished(self.db, report.Now(self.name, clock.now()))  # type: ignore[arg-type]
        return not any(left.values()) and not self.sandbox.deliverer.pending

    async def _state(self, request: int) -> str:
        found: str = await self.db.fetchval("select state from connector.request where id = $1", request)
        return found

    async def begin(self, clock: FastClock) -> None:
        """Everything is fetched once; nobody minds mass changes."""
        await self.control("POST", "webhooks", {"scale": 0.05})
        for mapping in MAPPINGS:
            for side in ("app", "crm"):
                await brakes.allow(self.db, self.name, mapping, side, 10**6)  # type: ignore[arg-type]
        await self.ask("fetch_all", {}, clock)


@asynccontextmanager
async def estate(dsn: str, root: Path, count: int, clock: FastClock, seed: int) -> AsyncIterator[Sequence[Tenant]]:
    """So many connections, none of them started; their sandboxes run in this process."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        tenants = []
        for number in range(1, count + 1):
            directory = root / f"c{number:02}"
            sandbox = await stack.enter_async_context(running(Settings(seed=seed, clock=SandboxClock(clock.now))))
            db = await asyncpg.connect(dsn, server_settings={"search_path": directory.name})
            stack.push_async_callback(db.close)
            people = Business(db, sandbox, Random(seed + number))
            tenants.append(await _tenant(directory, db, people, http))
        yield tenants


async def _tenant(directory: Path, db: asyncpg.Connection, people: Business, http: aiohttp.ClientSession) -> Tenant:
    name = directory.name
    directory.mkdir(parents=True)
    for file, text in {"connection.yaml": SET.format(name=name, upper=name.upper()), **FILES}.items():
        (directory / file).write_text(text.replace("app.", f"{name}."), encoding="utf-8")
    await db.execute(TABLES.replace("schema app", f"schema {name}").replace("app.", f"{name}."))
    return Tenant(name, directory, people.sandbox, db, people, http)
