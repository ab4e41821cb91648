"""Owner: one process at a time works on a connection. Taking the lease starts everything; losing it stops everything.

When the database goes away the connection is left, and taken up again once it answers, beginning with a recent sweep.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from connector.core.errors import (
    AccountExpiredError,
    ConnectorError,
    NotOwnerError,
    UnauthorisedError,
    UnavailableError,
)
from connector.engine.asked.requests import Requests
from connector.engine.bookkeeper import Bookkeeper
from connector.engine.context import Context
from connector.engine.fold import Folder
from connector.engine.gates import open_gates
from connector.engine.gauges import Gauges
from connector.engine.hooks import Hooks
from connector.engine.housekeeper import Housekeeper
from connector.engine.reconcile import Reconciler
from connector.engine.returning import Return
from connector.engine.rotation import Address, Rotation
from connector.engine.sweeps.fetch_all import FetchAll
from connector.engine.sweeps.schedule import Scheduler
from connector.engine.sweeps.sweeper import Sweeper
from connector.engine.worker import Worker
from connector.store import connections
from connector.store import work as queue
from connector.store.cipher import Cipher
from connector.store.db import AWAY

log = structlog.get_logger()
GATE = 0.25
PAUSES = 1.0
"""Seconds between two looks at what is paused; who pauses has us look at once."""
PROBE_UNAUTHORISED, PROBE_EXPIRED, PROBE_AWAY = 15.0, 60.0, 15.0
AWAY_CAUSES = ("unavailable", "noanswer")
"""What items back off for while the CRM is away."""
OUTAGE = 5.0
"""Seconds without an answer from which on it is one."""


@dataclass(slots=True)
class Parts:
    """The engine of one connection, assembled."""

    context: Context
    folder: Folder
    worker: Worker
    scheduler: Scheduler
    requests: Requests
    hooks: Hooks
    gauges: Gauges
    bookkeeper: Bookkeeper
    housekeeper: Housekeeper
    fetch_all: FetchAll
    returning: Return


def assemble(context: Context, address: Address | None, cipher: Cipher) -> Parts:
    """All parts over one context."""
    reconciler = Reconciler(context)
    sweeper = Sweeper(context, reconciler)
    fetch_all = FetchAll(context, sweeper)
    return Parts(
        context,
        Folder(context),
        Worker(context, reconciler),
        Scheduler(context, sweeper),
        Requests(context, sweeper, fetch_all),
        Hooks(context, address, Rotation(context, cipher)),
        Gauges(context),
        Bookkeeper(context),
        Housekeeper(context),
        fetch_all,
        Return(context, sweeper),
    )


async def work(parts: Parts, also: Callable[[Context], Awaitable[None]]) -> None:
    """Works until cancelled or until ownership is lost (NotOwnerError); `also` runs beside it."""
    context = parts.context
    await open_gates(context, first=True)
    context.metrics.leader.labels(context.name).set(1)
    lost: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_watch_gates(context))
            group.create_task(_watch_outages(context))
            for part in (
                parts.folder,
                parts.worker,
                parts.scheduler,
                parts.requests,
                parts.hooks,
                parts.gauges,
                parts.bookkeeper,
                parts.housekeeper,
                parts.returning,
            ):
                group.create_task(part.run())
            group.create_task(_as_coroutine(also(context)))
    except* (NotOwnerError, *AWAY) as trouble:
        lost = trouble.exceptions[0]  # what is raised in here, Python 3.11.2 would wrap into a group
    finally:
        context.metrics.leader.labels(context.name).set(0)
    if lost is not None:
        raise NotOwnerError(f"connection {context.name} was left") from lost


async def _as_coroutine(running: Awaitable[None]) -> None:
    await running


async def _watch_gates(context: Context) -> None:
    """Follows pauses, and holds the connection while the CRM refuses our credentials or the account is unpaid."""
    looked_at = context.clock.monotonic()
    while True:
        if context.clock.monotonic() - looked_at >= PAUSES:
            await open_gates(context)
            looked_at = context.clock.monotonic()
        error = context.failures.error
        if isinstance(error, UnauthorisedError | AccountExpiredError) and context.gates.held is None:
            await _hold(context, error)
        if context.gates.held is not None:
            await _probe(context)
        await context.clock.sleep(GATE)


async def _watch_outages(context: Context) -> None:
    """When the CRM answers again, what backs off need not wait any longer; while it is away, it is asked now and then.

    A single fault among answers is no outage, and whoever fails again goes on with the back-off he had.
    """
    away_since: float | None = None
    asked_at = 0.0
    while True:
        now = context.clock.monotonic()
        if isinstance(context.failures.error, UnavailableError):
            away_since = now if away_since is None else away_since
            if now - max(away_since, asked_at) >= PROBE_AWAY:
                asked_at = now
                await _ask(context)
        elif away_since is not None:
            if now - away_since >= OUTAGE:
                await _hurry(context)
            away_since = None
        await context.clock.sleep(GATE)


async def _ask(context: Context) -> None:
    """The cheapest call: an answer of any kind is noted by whoever hears it."""
    with contextlib.suppress(ConnectorError):
        await context.crm.account()


async def _hurry(context: Context) -> None:
    async with context.change() as db:
        await queue.hurry(db, context.name, AWAY_CAUSES, context.clock.now())
    context.pulse.set()


async def _hold(context: Context, error: ConnectorError) -> None:
    expired = isinstance(error, AccountExpiredError)
    reason = "account_expired" if expired else "unauthorised"
    advice = "pay or renew the CRM account" if expired else "reconnect: give a valid API token"
    context.gates.held = reason
    log.error("connection.held", connection=context.name, reason=reason)
    async with context.database.transaction(context.fence) as db:
        await connections.set_state(db, context.fence, "held", reason, advice)


async def _probe(context: Context) -> None:
    """Asks the CRM now and then who we are; an answer ends the hold."""
    await context.clock.sleep(PROBE_EXPIRED if context.gates.held == "account_expired" else PROBE_UNAUTHORISED)
    try:
        await context.crm.account()
    except ConnectorError:
        return
    context.gates.held = None
    context.failures.succeeded()
    log.info("connection.resumed", connection=context.name)
    async with context.database.transaction(context.fence) as db:
        await connections.set_state(db, context.fence, "ok", None, None)
    context.pulse.set()
