"""A whole Connector in the test's own process: real PostgreSQL, the sandbox over HTTP, the daemon between them.

Tests edit either side and wait for a condition; `quiet` waits until nothing is left to do.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import aiohttp
import asyncpg

from connector.app.daemon import Daemon, Options
from connector.app.sets import Account, load_directory
from connector.core.mapping import Webhooks
from connector.crm.http import Timeouts
from connector.sandbox.company import Clock as SandboxClock
from connector.sandbox.server import Sandbox, Settings, running
from connector.service.server import Address
from connector.store import connections, report, sweeps
from tests.engine import fenced
from tests.ports import free_port

T = TypeVar("T")
PATIENCE = 20.0
CONNECTION = """
crm: pipedrive
name: test
url: http://set.by.the.rig
credentials: {api_token: env:UNUSED}
sweep: {recent: 1h, full: 30d}
brake: {records: 100000, percent: 100}
"""


class RequestFailedError(AssertionError):
    """The daemon answered a request, and the answer is a failure."""


@dataclass(slots=True)
class FastClock:
    """Time that runs `speed` times as fast and can leap, so that a minute's rule costs a test no minute."""

    speed: float = 1.0
    wall: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=time.monotonic)
    leapt: float = 0.0

    def now(self) -> datetime:
        """The wall clock."""
        return self.wall + timedelta(seconds=(time.monotonic() - self.began) * self.speed + self.leapt)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self.began + (time.monotonic() - self.began) * self.speed + self.leapt

    def words(self) -> list[str]:
        """What another process makes the same clock of."""
        return [str(self.speed), self.wall.isoformat(), repr(self.began)]

    def leap(self, seconds: float) -> None:
        """Lets so many seconds pass at once; who sleeps meanwhile sleeps on."""
        self.leapt += seconds

    async def sleep(self, seconds: float) -> None:
        """Returns after so many of its seconds."""
        await asyncio.sleep(seconds / self.speed)


WAITED_FOR = (
    "select connection, state, reason, paused, sends_paused from connector.connection",
    "select mapping, paused from connector.mapping where paused",
    "select owner, epoch, expires_at from connector.lease",
    "select id, kind, state, progress, asked_at from connector.request where state in ('queued', 'running')",
    "select id, link_id, op, object, crm_id, unknown, sent_at from connector.intent order by id limit 20",
    """select l.id, l.mapping, l.app_key, l.crm_id, l.state as link, w.state, w.cause, w.due_at, w.attempt, w.claimed_by,
              w.waiting_for, w.lane
       from connector.work w join connector.link l on l.id = w.link_id order by l.id limit 20""",
)
"""What may keep a connection from being done: its state, its owner, requests, open intents, work."""


@dataclass(slots=True)
class Rig:
    """Both sides and the daemon. `db` is the application's own session."""

    dsn: str
    directory: Path
    clock: FastClock
    sandbox: Sandbox
    db: asyncpg.Connection
    http: aiohttp.ClientSession
    port: int | None = None
    """Where the daemon listens and webhooks come in; None: no webhooks."""
    public: str | None = None
    """Where the daemon says that it listens, if that is not so."""
    keys: tuple[str, str | None] = ("key", None)
    """The secret key of the next start, and the one before it."""
    daemon: Daemon | None = None
    _task: asyncio.Task[None] | None = None

    # --- the daemon --------------------------------------------------------------------------------------------------

    async def start(self, *, fetch_all: bool = True) -> None:
        """Starts a daemon and waits until its connection works (and everything is fetched)."""
        loaded = load_directory(self.directory)
        listen = Address("127.0.0.1", self.port or 0)
        public = f"http://{listen}" if self.port is not None else self.public
        options = Options(self.dsn, listen, listen, *self.keys, public_url=public)
        started = asyncio.Event()
        self.daemon = Daemon(options, [(loaded, Account(self.sandbox.url, self.sandbox.token))], self.clock)
        self._task = asyncio.create_task(self.daemon.run(started.set), name="daemon")
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait([waiting, self._task], return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE)
        waiting.cancel()
        if self._task.done():
            self._task.result()
        assert started.is_set(), "the connection did not start"
        if self.port is not None:
            await self.until(self._subscribed)
        if fetch_all:
            await self.ask("fetch_all", {})
        if fetch_all and self.port is not None:
            await self.until(self._looked)

    async def stop(self) -> None:
        """An ordered shutdown."""
        if self.daemon is not None and self._task is not None:
            self.daemon.stop()
            await asyncio.wait_for(self._task, PATIENCE)
        self.daemon = self._task = None

    async def _looked(self) -> bool:
        """True once the look is over that a new subscription asks for."""
        known = await sweeps.load(self.db, "test")  # type: ignore[arg-type]
        return not any(sweep.asked for (_, kind), sweep in known.items() if kind == "recent")

    async def _subscribed(self) -> bool:
        context = self.daemon.running["test"].context if self.daemon is not None else None
        auto = context is not None and context.rules.spec.connection.webhooks is Webhooks.AUTO
        return context is not None and (context.pushed or not auto)

    async def ask(self, kind: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """Queues a request and waits for its answer."""
        request = await connections.ask(self.db, "test", kind, args, self.clock.now())  # type: ignore[arg-type]

        async def answered() -> asyncpg.Record | None:
            return await self.db.fetchrow(
                "select state, result from connector.request where id = $1 and state in ('done', 'failed')", request
            )

        found = await self.until(answered)
        assert found is not None
        if found["state"] == "failed":
            raise RequestFailedError(found["result"])
        result: dict[str, Any] = json.loads(found["result"])
        return result

    async def kill(self) -> None:
        """An end without order: what runs is cancelled. Cut its ways to both sides before, else it still tidies up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.daemon = self._task = None

    def take_over(self, other: Rig) -> None:
        """Looks at the daemon of another one from now on."""
        self.dsn, self.daemon, self._task = other.dsn, other.daemon, other._task

    def impatient(self) -> None:
        """From now on the daemon waits a second for an answer, so that one that never comes costs a test no more."""
        assert self.daemon is not None
        for each in self.daemon.running.values():
            cast("Any", each.crm)._client._http._timeouts = Timeouts(connect=1.0, total=1.0)

    async def quiet(self) -> None:
        """Sweeps, then waits until nothing is unfolded, due, running, waiting, backing off or unresolved."""
        await self.ask("sweep", {"kind": "recent"})
        await self.idle()

    async def idle(self) -> None:
        """Waits until nothing is left, deliveries of webhooks included."""

        async def nothing_left() -> bool:
            if self.sandbox.deliverer.pending:
                return False
            left = await report.unfinished(self.db, report.Now("test", self.clock.now()))  # type: ignore[arg-type]
            return not any(left.values())

        await self.until(nothing_left)

    async def until(self, probe: Callable[[], Awaitable[T]], seconds: float = PATIENCE) -> T:
        """Polls until the probe returns something true."""
        deadline = time.monotonic() + seconds
        while not (value := await probe()):
            if self._task is not None and self._task.done():
                self._task.result()
            assert time.monotonic() < deadline, await self.trouble()
            await asyncio.sleep(0.01)
        return value

    async def trouble(self) -> str:
        """What is not done and why, as `connector wait` tells it, and the items themselves, for a failing test."""
        now = report.Now("test", self.clock.now())
        left = await report.unfinished(self.db, now)  # type: ignore[arg-type]
        person = await report.needs_person(self.db, now)  # type: ignore[arg-type]
        lines = [f"not in time; left: {left}; needs a person: {person}; clock: {now.at}"]
        for question in WAITED_FOR:
            lines += [str(dict(row)) for row in await self.db.fetch(question)]
        return "\n".join(lines)

    async def history(self) -> list[str]:
        """Open intents, links and the journal, for a failing test."""
        tables = ("intent", "link", "journal")
        rows = [await self.db.fetch(f"select * from connector.{name} order by id") for name in tables]
        return [
            str({name: value for name, value in row.items() if value not in (None, "test")})
            for each in rows
            for row in each
        ]

    # --- the CRM -----------------------------------------------------------------------------------------------------

    async def crm(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """Calls the sandbox's API as a person who uses the connector's own token; the answer's data."""
        async with self.http.request(method, self.sandbox.url + path, json=body, params=params) as response:
            answer = await response.json()
            assert response.status < 400, (method, path, response.status, answer)
            return answer["data"]

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """Turns the sandbox: faults, webhook policy, restore, purge and so on."""
        return await self.crm(method, f"/sandbox/{path}", body)

    async def person(self, **fields: Any) -> dict[str, Any]:
        """Makes a person in the CRM."""
        made: dict[str, Any] = await self.crm("POST", "/api/v2/persons", fields)
        return made


@asynccontextmanager
async def rig(
    dsn: str,
    directory: Path,
    files: Mapping[str, str],
    tables: str,
    *,
    connection: str = CONNECTION,
    speed: float = 1.0,
    records: int = 0,
    seed: int = 1,
    webhooks: bool = False,
) -> AsyncIterator[Rig]:
    """Both sides, not yet started. With `webhooks` the CRM delivers to the daemon, else sweeps alone find its changes."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in {"connection.yaml": connection, **files}.items():
        (directory / name).write_text(text, encoding="utf-8")
    clock = FastClock(speed)
    settings = Settings(records=records, seed=seed, clock=SandboxClock(clock.now))
    async with running(settings) as sandbox, aiohttp.ClientSession(headers={"x-api-token": sandbox.token}) as http:
        db = await asyncpg.connect(dsn)
        await db.execute(tables)
        await fenced.watch(dsn, db)
        made = Rig(dsn, directory, clock, sandbox, db, http, free_port() if webhooks else None)
        try:
            yield made
        finally:
            await made.stop()
            outside = await fenced.unfenced(made.db)
            await made.db.close()
        assert not outside, f"state was written without the fence: {outside}"
