"""Webhook intake against a bare aiohttp handler that parses and does one INSERT per request.

Both on the same durable embedded PostgreSQL, loaded in turns from a second process over kept-alive connections. Beside
the rates stands what a delivery takes of the cores, in this process and in PostgreSQL: on a busy machine trust that.
"""

import asyncio
import base64
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from connector.crm.pipedrive.webhooks import hint
from connector.obs import logs
from connector.obs.metrics import Metrics
from connector.ports import Hint
from connector.postgres.cluster import EmbeddedCluster
from connector.service.server import Address, Service
from connector.service.webhooks import Door, Inbox
from connector.store.db import Database, migrate
from tests.bench.cores import had_by_children, parent

CONNECTIONS = 64
SECONDS = 2.0
ROUNDS = 5
USER, PASSWORD = "connector", "correct horse battery staple"
BODY = json.dumps({
    "meta": {
        "action": "change", "entity": "person", "entity_id": "4711", "company_id": "1", "correlation_id": "c-1",
        "id": "8a3e9f5c-52c5-4b1c-8c2b-7d0c5d1b2a11", "timestamp": "2026-01-02T03:04:05.678Z", "user_id": "7",
        "change_source": "app", "version": "2.0",
    },
    "data": {
        "id": 4711, "name": "Ana Lima", "first_name": "Ana", "last_name": "Lima", "owner_id": 7, "org_id": 12,
        "emails": [{"label": "work", "value": "ana@acme.test", "primary": True}],
        "phones": [{"label": "work", "value": "+351 21 000 00 00", "primary": True}],
        "add_time": "2025-01-02T03:04:05Z", "update_time": "2026-01-02T03:04:05Z", "visible_to": 3, "label_ids": [1, 2],
        "custom_fields": {f"{n:040x}": {"type": "varchar", "value": f"value {n}"} for n in range(10)},
    },
    "previous": {"last_name": "Lim"},
}).encode()  # fmt: skip


async def run() -> dict[str, float]:
    """Deliveries per second of ours and of the bare handler; ours as a share of it, by the clock and by CPU time."""
    logs.configure("console", "warning")
    with (
        tempfile.TemporaryDirectory(prefix="connector-bench-") as directory,
        EmbeddedCluster(Path(directory)) as cluster,
    ):
        database = await Database.connect(cluster.dsn)
        try:
            await migrate(database)
            return await _compare(database)
        finally:
            await database.close()


async def _compare(database: Database) -> dict[str, float]:
    async with database.session() as db:
        postmaster = parent(await db.fetchval("select pg_backend_pid()"))
    inbox = Inbox(database, Metrics("bench"), _now, lambda: DOORS, _no_gap, stored=lambda _: None)
    ours = Service([inbox.mount], [], state=_state, listen=Address("127.0.0.1", 0))
    runner = web.AppRunner(_bare(database), access_log=None)
    try:
        await ours.start()
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return await _alternate(postmaster, ours.addresses[0].port, int(runner.addresses[0][1]))
    finally:
        await ours.stop()
        await inbox.close()
        await runner.cleanup()


async def _alternate(postmaster: int, ours: int, bare: int) -> dict[str, float]:
    rates: dict[int, list[float]] = {ours: [], bare: []}
    cores: dict[int, list[float]] = {ours: [], bare: []}
    for _ in range(ROUNDS):
        for port in (ours, bare):
            before = time.process_time() + had_by_children(postmaster)
            rates[port].append(await _load(port))
            spent = time.process_time() + had_by_children(postmaster) - before
            cores[port].append(spent / (rates[port][-1] * SECONDS))
    return {
        "connector_per_s": statistics.median(rates[ours]),
        "ceiling_per_s": statistics.median(rates[bare]),
        "ratio": statistics.median(one / other for one, other in zip(rates[ours], rates[bare], strict=True)),
        "cpu_ratio": statistics.median(other / one for one, other in zip(cores[ours], cores[bare], strict=True)),
    }


async def _load(port: int) -> float:
    command = [sys.executable, "-m", "tests.bench.load", str(port), str(CONNECTIONS), str(SECONDS)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    out, _ = await process.communicate(_request(port))
    return float(out)


def _request(port: int) -> bytes:
    token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    head = (
        f"POST /webhooks/acme HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Basic {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )
    return head.encode() + BODY


def _bare(database: Database) -> web.Application:
    async def receive(request: web.Request) -> web.Response:
        body = await request.text()
        meta = json.loads(body)["meta"]
        await database.pool.execute(
            "insert into connector.event (connection, event_id, object, crm_id, kind, hint, received_at)"
            " values ($1, $2, $3, $4, $5, $6, $7)",
            "acme", meta["id"], meta["entity"], meta["entity_id"], meta["action"], body, _now(),
        )  # fmt: skip
        return web.Response()

    app = web.Application()
    app.router.add_post("/webhooks/{connection}", receive)
    return app


def _received(_: Mapping[str, str], body: bytes) -> Sequence[Hint]:
    return (hint(body, {}),)


DOORS = {"acme": Door("acme", ((USER, PASSWORD),), _received, "person".__eq__)}
State = Callable[[], Awaitable[Mapping[str, object]]]


async def _state() -> Mapping[str, object]:
    return {}


async def _no_gap(connection: str, reason: str) -> None:
    raise RuntimeError(f"{connection}: {reason}")


def _now() -> datetime:
    return datetime.now(UTC)
