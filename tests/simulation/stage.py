"""The stage of a story: both sides, the net between them, and the processes of the daemon that come and go."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import importlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, cast
from unittest.mock import patch

import aiohttp
import asyncpg
from aiohttp import web

from connector.app import daemon, sets
from connector.app.daemon import Daemon, Options
from connector.app.sets import Account, load_directory
from connector.config.loader import Loaded, parse_set
from connector.engine.apply import applier
from connector.engine.apply.result import Batch
from connector.engine.apply.rows import write_rows
from connector.engine.rota import Rota
from connector.ports import CRM
from connector.sandbox import server as sandbox_server
from connector.sandbox.calls import Request
from connector.sandbox.company import Clock as SandboxClock
from connector.sandbox.server import Sandbox, Settings
from connector.service.server import Address
from connector.store import notes
from connector.store.db import Connection, Database
from tests.simulation.life import LIFE, Life, MortalCRM
from tests.simulation.loop import Loop
from tests.simulation.turns import Databases, Turns, real, session_class
from tests.simulation.wire import MemoryConnector, MemorySite, Net

EPOCH = datetime(2026, 1, 5, 23, 52, tzinfo=UTC)
"""Late, so that a story sees the day end and its budget come back."""
CRM_PLACE, DAEMON_PLACE = ("crm.test", 80), ("daemon.test", 8080)
CALM = {
    "connector.engine.fold.BUSY": 0.2,
    "connector.engine.fold.IDLE": 1.0,
    "connector.engine.worker.IDLE": 5.0,
    "connector.engine.gates.LOOK": 1.0,
    "connector.engine.owner.GATE": 10.0,
    "connector.engine.tenure.HEARTBEAT": 2.0,
    "connector.engine.sweeps.schedule.TICK": 5.0,
    "connector.engine.gauges.EVERY": 600.0,
    "connector.engine.rota.LOOK": 2.0,
    "connector.engine.rota.TRY": 0.5,
    "connector.engine.guard.TABLES": 20.0,
    "connector.app.connection.RELOAD": 5.0,
}
"""Polls that only cost time in a simulation: an idle minute would be thousands of empty queries."""
HASTE = {"lock_timeout": "50ms", "search_path": "app, public"}
"""People say their tables without a schema, and give up on a locked row: whoever holds it waits for its turn, and time stands."""
CLOCK = """
create table public.simulated (at timestamptz not null, true_at timestamptz not null);
insert into public.simulated values ('2026-01-05 23:52+00', '2026-01-05 23:52+00');
create function public.simulated_now() returns timestamptz language sql volatile security definer
return (select at from public.simulated);
alter table connector.change alter column at set default public.simulated_now();
"""
"""The database tells simulated time where its triggers note it, and where notes are folded."""


@dataclass(slots=True)
class SimClock:
    """A process's clock: simulated time, now and then wrong by some seconds."""

    skew: float = 0.0

    def now(self) -> datetime:
        """The wall clock of this process."""
        return EPOCH + timedelta(seconds=self.monotonic() + self.skew)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Returns after so many simulated seconds."""
        await asyncio.sleep(seconds)


class MortalDaemon(Daemon):
    """A daemon with a life."""

    life: Life

    async def _make_connections(self, database: Database, rota: Rota) -> None:
        await super()._make_connections(database, rota)
        for running in self.running.values():
            running.crm = cast("CRM", MortalCRM(running.crm, self.life))


@dataclass(slots=True)
class Process:
    """An incarnation of the daemon."""

    life: Life
    daemon: MortalDaemon
    task: asyncio.Task[None]
    clock: SimClock


@dataclass(slots=True)
class Stage:
    """Both sides and whoever syncs them. `db` is the application's own session."""

    dsn: str
    directory: Path
    chance: Random
    net: Net
    turns: Turns
    sandbox: Sandbox
    db: asyncpg.Connection
    clock: SimClock = field(default_factory=SimClock)
    app_skew: float = 0.0
    skew: float = 0.0
    processes: dict[str, Process] = field(default_factory=dict)
    births: int = 0
    deaths: int = 0

    # --- time --------------------------------------------------------------------------------------------------------

    async def tell_time(self) -> None:
        """The database's clock follows."""
        await tell_time(self.db, self.app_skew)

    async def pass_time(self, seconds: float) -> None:
        """Lets simulated time pass."""
        await asyncio.sleep(seconds)

    # --- processes ---------------------------------------------------------------------------------------------------

    def start(self, name: str, *, left: int | None = None) -> Process:
        """Starts an incarnation of the process; all of them share one address, as behind a load balancer."""
        self.births += 1
        life = Life(left, name=f"{name}.{self.births}")
        address = Address(*DAEMON_PLACE)
        options = Options(self.dsn, address, address, "key", public_url=f"http://{address}", watch_files=True)
        account = Account("http://crm.test", self.sandbox.token)
        clock = SimClock(self.skew)
        made = MortalDaemon(options, [(load_directory(self.directory), account)], clock)
        made.life = life
        context = contextvars.copy_context()
        context.run(LIFE.set, life)
        task = asyncio.get_running_loop().create_task(made.run(), name=life.name, context=context)
        life.bury.append(lambda: self._disconnect(life))
        process = self.processes[name] = Process(life, made, task, clock)
        return process

    async def kill(self, name: str) -> None:
        """Ends a process as kill -9 does, and holds its funeral."""
        process = self.processes.pop(name, None)
        if process is None:
            return
        self.deaths += 1
        process.life.end()
        self.wake(process)
        process.task.cancel()
        await asyncio.wait({process.task})
        if not process.task.cancelled():
            process.task.exception()

    async def stop(self, process: Process) -> None:
        """Stops a process as SIGSTOP does, between two of its transactions: one under way would hold up everybody."""
        async with self.turns.taken():
            self._loop().stop_process(process.life)

    def wake(self, process: Process) -> None:
        """Lets a stopped process go on."""
        self._loop().wake_process(process.life)
        self.turns.queue.recall()

    def _loop(self) -> Loop:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        return loop

    def set_clocks(self, daemon: float, app: float) -> None:
        """The clocks of the living, and of those who come, jump; so does the database's."""
        self.skew, self.app_skew = daemon, app
        for process in self.processes.values():
            process.clock.skew = daemon

    def _disconnect(self, life: Life) -> None:
        for session in life.sessions:
            if not session.is_closed():
                self.turns.dead.append(session.get_server_pid())
                session.terminate()

    async def interrupt(self) -> None:
        """The database drops every session of the living."""
        pids = [s.get_server_pid() for p in self.processes.values() for s in p.life.sessions if not s.is_closed()]
        assert self.turns.grave is not None
        async with self.turns.taken():
            await real(
                self.turns.grave.execute("select pg_terminate_backend(pid, 5000) from unnest($1::int[]) pid", pids)
            )

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[asyncpg.Connection]:
        """Another session of the application."""
        async with self.turns.taken():
            db = await real(
                asyncpg.connect(self.dsn, connection_class=session_class(self.turns), server_settings=HASTE)
            )
        try:
            yield db
        finally:
            await db.close()

    async def close(self) -> None:
        """Everybody dies."""
        for name in list(self.processes):
            await self.kill(name)


async def tell_time(db: Any, skew: float) -> None:
    """Sets the clock of the database, which may be ahead of the CRM's."""
    at = EPOCH + timedelta(seconds=asyncio.get_running_loop().time())
    await db.execute("update public.simulated set at = $1, true_at = $2", at + timedelta(seconds=skew), at)


def told_time(made: Stage) -> contextlib.ExitStack:
    """Has the database's clock follow also where the daemon compares it with its own, and where it writes rows."""
    fold = notes.fold_changes

    async def folded(db: Connection, connection: str, now: datetime, limit: int, first: int = 0) -> notes.Folded:
        await tell_time(db, made.app_skew)
        return await fold(db, connection, now, limit, first)

    async def written(db: Connection, batch: Batch) -> None:
        if any(result.plan is not None and result.plan.row is not None for result in batch.results):
            await tell_time(db, made.app_skew)
        await write_rows(db, batch)

    stack = contextlib.ExitStack()
    stack.enter_context(patch.object(notes, "fold_changes", folded))
    stack.enter_context(patch.object(applier, "write_rows", written))
    return stack


def _own_name() -> str:
    life = LIFE.get()
    assert life is not None
    return life.name


@contextlib.contextmanager
def patched(net: Net, turns: Turns) -> Iterator[None]:
    """Sockets become pipes, sessions take turns, polls are calm."""
    databases = Databases(turns)

    async def open_(_cls: type[Database], dsn: str, *, size: int = 10) -> Database:
        return await databases.open(dsn, size=size)

    def connector(limit: int = 100) -> MemoryConnector:
        made = MemoryConnector(net, limit)
        life = LIFE.get()
        if life is not None:
            life.bury.append(made.cut)
        return made

    async def probed(request: Request) -> Request:
        return request

    async def at_once(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return call(*args, **kwargs)

    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(asyncio, "to_thread", at_once))
        for path, value in CALM.items():
            module, _, name = path.rpartition(".")
            stack.enter_context(patch.object(importlib.import_module(module), name, value))
        stack.enter_context(patch.object(daemon, "name_of_process", _own_name))
        stack.enter_context(patch.object(secrets, "token_bytes", Random("salt").randbytes))
        stack.enter_context(patch.object(sets, "parse_set", parsed))
        stack.enter_context(patch.object(Database, "open", classmethod(open_)))
        stack.enter_context(patch.object(Database, "transaction", databases.transaction_of()))
        stack.enter_context(patch.object(aiohttp, "TCPConnector", connector))
        stack.enter_context(patch.object(web, "TCPSite", lambda *a, **k: _site(net, *a, **k)))
        stack.enter_context(patch.object(sandbox_server, "_probed", probed))
        by_clock = notes._MARK.replace("clock_timestamp()", "public.simulated_now()")
        stack.enter_context(patch.object(notes, "_MARK", by_clock))
        yield


def parsed(files: Mapping[str, str], *, name: str, where: str) -> Loaded:
    """A mapping set, which is what its files say: the same in story after story."""
    return _parsed(tuple(files.items()))


@functools.lru_cache(maxsize=256)
def _parsed(files: tuple[tuple[str, str], ...]) -> Loaded:
    return parse_set(dict(files), name="test")


def _site(net: Net, runner: web.AppRunner, host: str | None = None, port: int | None = None, **_: Any) -> MemorySite:
    return MemorySite(net, LIFE.get(), runner, host, port)


@contextlib.asynccontextmanager
async def stage(dsn: str, directory: Path, seed: int, *, limits: str = "off") -> AsyncIterator[Stage]:
    """Sets the stage for one story."""
    chance = Random(f"net {seed}")
    net, turns = Net(chance), Turns(chance, dsn)
    clock = SimClock()
    with patched(net, turns):
        settings = Settings(seed=seed, clock=SandboxClock(clock.now), limits=limits)
        company, _ = sandbox_server.open_company(settings)
        async with aiohttp.ClientSession(connector=MemoryConnector(net, 64)) as session:
            crm = sandbox_server._assemble(settings, company, session)
            crm.url = "http://crm.test"
            runner = web.AppRunner(
                sandbox_server._application(crm), access_log=None, handler_cancellation=True, shutdown_timeout=0.5
            )
            await runner.setup()
            net.listen(CRM_PLACE, cast("web.Server", runner.server))
            turns.grave = await real(asyncpg.connect(dsn))
            db = await real(asyncpg.connect(dsn, connection_class=session_class(turns), server_settings=HASTE))
            made = Stage(dsn, directory, chance, net, turns, crm, db, clock)
            try:
                with told_time(made):
                    yield made
            finally:
                await made.close()
                await crm.close()
                await runner.cleanup()
                await db.close()
                await real(turns.grave.close())
