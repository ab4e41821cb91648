"""The daemon: all connections and the HTTP service of one process, until a signal; then an ordered shutdown.

Shutdown stops accepting webhooks first, then the engines (what is in flight is awaited for a while), then the pools.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_fixed

from connector.app import doors
from connector.app.commands import name_of_process, require_schema
from connector.app.connection import Running, Shared
from connector.app.doors import Doorway
from connector.app.sets import Account, LoadedSet
from connector.engine.clock import Clock, SystemClock
from connector.engine.rota import Rota
from connector.obs.metrics import Metrics
from connector.service.probes import landing_page, metrics_page
from connector.service.server import Address, Service
from connector.service.webhooks import Door, Inbox
from connector.store import sweeps
from connector.store.cipher import Cipher, SecretError
from connector.store.db import AWAY, Database, migrate
from connector.store.resealing import reseal

log = structlog.get_logger()
TRY_DATABASE = 1.0
FOLLOW = 60.0
"""Seconds between two looks at the database's clock."""
SESSIONS, SESSIONS_OF_LEASES = 12, 2
"""Of the database, whatever the number of connections."""
DRAIN_WITHIN, STOP_WITHIN = 5.0, 2.5


@dataclass(frozen=True, slots=True)
class Options:
    """What a daemon needs. `public_url` None: sweeps only."""

    database_url: str
    listen: Address
    admin_listen: Address
    secret_key: str
    secret_key_old: str | None = None
    public_url: str | None = None
    migrate: bool = True
    watch_files: bool = True


class Daemon:
    """One process of Connector."""

    def __init__(self, options: Options, sets: Sequence[tuple[LoadedSet, Account]], clock: Clock | None = None) -> None:
        self.options, self.sets = options, sets
        self.metrics = Metrics(version("connector"))
        self.clock: Clock = clock or SystemClock()
        self.running: dict[str, Running] = {}
        self.service: Service | None = None
        self.stopping = asyncio.Event()
        self.database: Database | None = None
        self.rota: Rota | None = None
        self.jobs: list[asyncio.Task[None]] = []

    async def run(self, started: Callable[[], None] = lambda: None) -> None:
        """Works until `stop` or a signal. MappingSetError when a set does not fit; nothing was started then."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        self.metrics.tasks.set_function(lambda: len(asyncio.all_tasks(loop)))
        database = self.database = await Database.open(self.options.database_url, size=SESSIONS)
        leases = await Database.open(self.options.database_url, size=SESSIONS_OF_LEASES)
        rota = self.rota = Rota(leases, self.clock, name_of_process())
        inbox = Inbox(database, self.metrics, self.clock.now, self._doors, self._gap, stored=self._wake)
        service = self.service = self._service(inbox)
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(self.stopping.wait(), name="stopping")]
        try:
            await service.start()
            tasks.append(asyncio.create_task(self._work(database, rota, inbox, started), name="work"))
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._shut_down(inbox, [*tasks, *self.jobs])
            await database.close()
            await leases.close()

    def stop(self) -> None:
        """Asks for an ordered shutdown."""
        self.stopping.set()

    def reload(self) -> None:
        """Looks at the mapping files again, those refused before included."""
        for running in self.running.values():
            running.looked_at, running.complaint = None, ""

    def background(self, job: Coroutine[None, None, None]) -> None:
        """Runs a job beside the daemon; its failure ends the daemon."""
        self.jobs.append(asyncio.create_task(job, name="job"))
        self.jobs[-1].add_done_callback(self._job_done)

    def _job_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.stop()

    def _service(self, inbox: Inbox) -> Service:
        release = version("connector")
        return Service(
            [inbox.mount],
            [metrics_page(self.metrics), landing_page(release, {"metrics": "/metrics", "readiness": "/readyz"})],
            state=self._state,
            listen=self.options.listen,
            admin_listen=self.options.admin_listen,
            grace=2.0,
        )

    async def _work(self, database: Database, rota: Rota, inbox: Inbox, started: Callable[[], None]) -> None:
        """Everything behind the listeners. From `ready` on webhooks can be answered."""
        await self._wait_for(database)
        await self._make_connections(database, rota)
        if self.service is not None:
            self.service.ready = True
        async with asyncio.TaskGroup() as group:
            for name, running in self.running.items():
                group.create_task(running.run(), name=f"connection {name}")
            group.create_task(rota.run(list(self.running)), name="rota")
            group.create_task(self._keep_time(database), name="time")
            group.create_task(inbox.run(), name="gaps")
            group.create_task(doors.watch(database, self.clock, self._doorways()), name="doors")
            group.create_task(self._announce(started), name="announce")

    async def _wait_for(self, database: Database) -> None:
        """Returns once the database answers and its schema is in place; says once that it waits."""
        tries = AsyncRetrying(
            retry=retry_if_exception_type(AWAY),
            wait=wait_fixed(TRY_DATABASE),
            sleep=self.clock.sleep,
            before_sleep=_say,
        )
        async for attempt in tries:
            with attempt:
                await self._reach(database)

    async def _reach(self, database: Database) -> None:
        if self.options.migrate:
            await migrate(database)
        else:
            async with database.session() as db:
                await require_schema(db)
        await self._follow(database)

    async def _keep_time(self, database: Database) -> None:
        while True:
            await self.clock.sleep(FOLLOW)
            with contextlib.suppress(*AWAY):
                await self._follow(database)

    async def _follow(self, database: Database) -> None:
        """All replicas go by the database's clock; a clock that was given goes as it likes."""
        if isinstance(self.clock, SystemClock):
            await self.clock.follow(database)

    async def _make_connections(self, database: Database, rota: Rota) -> None:
        """The connections whose secrets can be read; SecretError when there is none."""
        cipher = Cipher(self.options.secret_key, self.options.secret_key_old)
        await self._reseal(database, cipher)
        shared = Shared(
            database,
            self.clock,
            self.metrics,
            cipher,
            rota,
            self.options.public_url,
        )
        refused: SecretError | None = None
        for loaded, account in self.sets:
            running = Running.make(shared, loaded, account, watch_files=self.options.watch_files)
            try:
                await running.register()
            except SecretError as error:
                refused = error
                log.warning("connection.refused", connection=loaded.name, error=error)
            else:
                self.running[loaded.name] = running
        if refused is not None and not self.running:
            raise refused

    async def _reseal(self, database: Database, cipher: Cipher) -> None:
        async with database.transaction() as db:
            resealed = await reseal(db, cipher, self.clock.now())
        if resealed.count:
            log.info("secrets.resealed", count=resealed.count)
        for name in sorted(resealed.closed):
            log.warning("secrets.closed", connection=name, reason="other_key")

    async def _announce(self, started: Callable[[], None]) -> None:
        for running in self.running.values():
            await running.ready.wait()
        started()

    def _doors(self) -> Mapping[str, Door]:
        return {name: way.door for name, way in self._doorways().items() if way.door is not None}

    def _doorways(self) -> Mapping[str, Doorway]:
        return {name: running.doorway for name, running in self.running.items()}

    def _wake(self, connection: str) -> None:
        """Has the owner fold at once, if that is us: an event was stored."""
        context = self.running[connection].context
        if context is not None:
            context.notes.set()

    async def _gap(self, connection: str, reason: str) -> None:
        """Events were lost or not understood: a recent sweep is due, after a time without database also a full one."""
        if self.database is None:
            return
        async with self.database.session() as db:
            await sweeps.ask(db, connection, "recent", self.clock.now())
            if reason == "database_away":
                await sweeps.ask(db, connection, "full", self.clock.now())

    async def _state(self) -> Mapping[str, object]:
        """The body of /readyz."""
        states: dict[str, object] = {}
        for name, running in self.running.items():
            context = running.context
            failure, last = running.answers.failures.error, running.answers.last
            states[name] = {
                "owner": context is not None,
                "mappings": len(context.rules.bound.mappings) if context is not None else 0,
                "state": context.gates.state if context is not None else "standby",
                "crm": type(failure).__name__.removesuffix("Error").lower() if failure is not None else "ok",
                "last_crm_answer": last.isoformat() if last is not None else None,
            }
        return {"database": await self._database_state(), "connections": states}

    async def _database_state(self) -> str:
        if self.database is None:
            return "away"
        try:
            async with asyncio.timeout(0.8), self.database.session() as db:
                await db.fetchval("select 1")
        except (TimeoutError, *AWAY):
            return "away"
        return "ok"

    async def _shut_down(self, inbox: Inbox, tasks: Sequence[asyncio.Task[Any]]) -> None:
        log.info("daemon.stopping")
        if self.service is not None:
            await self.service.stop()
        await self._leave()
        await asyncio.gather(*(running.drain(DRAIN_WITHIN) for running in self.running.values()))
        for task in tasks:
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_WITHIN):
                await asyncio.gather(*tasks, return_exceptions=True)
                await inbox.close()
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise unwrapped(error)

    async def _leave(self) -> None:
        """Tells the other replicas that we go."""
        if self.rota is not None:
            with contextlib.suppress(TimeoutError, *AWAY):
                async with asyncio.timeout(1.0):
                    await self.rota.leave()


def _say(state: RetryCallState) -> None:
    if state.attempt_number == 1 and state.outcome is not None:
        log.warning("database.away", error=state.outcome.exception())


def unwrapped(error: BaseException) -> BaseException:
    """The first error inside groups of one."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
