"""A receiver on a real socket before a real database, and clients that may behave as badly as they like."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import ClientSession

from connector.core.model import CrmId
from connector.obs.metrics import Metrics
from connector.ports import Hint, HintKind, NotUnderstoodError
from connector.service.bodies import Limits
from connector.service.probes import landing_page, metrics_page
from connector.service.server import Address, Service
from connector.service.webhooks import Door, Inbox
from connector.store.db import Database, migrate
from connector.store.hints import hint_from_json
from tests.service.proxy import Proxy

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
USER, PASSWORD, OLD_PASSWORD = "connector", "pass:wörd", "old password"
LIMITS = Limits(body_bytes=64 << 10, retry_seconds=0.005)
JSON = {"Content-Type": "application/json"}


def basic(user: str = USER, password: str = PASSWORD) -> dict[str, str]:
    """Headers of a JSON delivery with these credentials."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode(), **JSON}


def hint(number: int, **more: Any) -> Hint:
    """A change of the person with this number."""
    return Hint(f"e{number}", "person", CrmId(str(number)), HintKind.CHANGED, at=NOW, **more)


def received(_: Mapping[str, str], body: bytes) -> Sequence[Hint]:
    """A tiny adapter: a list of [number, values]. Trips over other shapes as a real one might."""
    try:
        listed = json.loads(body)
    except ValueError as error:
        raise NotUnderstoodError("not JSON") from error
    return [hint(number, values={"value": value}) for number, value in listed]


@dataclass
class Post:
    """The receiver as tests see it."""

    database: Database
    metrics: Metrics
    inbox: Inbox
    service: Service
    client: ClientSession
    told: asyncio.Queue[tuple[str, str]]
    woken: list[str]
    """The connections of stored deliveries, as the engine hears of them."""

    @property
    def url(self) -> str:
        """Of the listener."""
        return f"http://{self.service.addresses[0]}"

    async def deliver(self, *numbers: int, connection: str = "acme") -> int:
        """The status that one delivery of these records gets."""
        body = json.dumps([[number, None] for number in numbers])
        return await self.send(body.encode(), basic(), connection)

    async def send(self, body: Any, headers: Mapping[str, str], connection: str = "acme") -> int:
        """The status that any POST gets."""
        async with self.client.post(f"{self.url}/webhooks/{connection}", data=body, headers=headers) as response:
            return response.status

    async def raw(self, *parts: bytes, rest: bytes = b"", closing: bool = False) -> bytes:
        """The head of the answer to these bytes, or all until the listener closes; `rest` is sent after it came."""
        address = self.service.addresses[0]
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(b"".join(parts))
        answer = await (reader.read() if closing else reader.readuntil(b"\r\n\r\n"))
        writer.write(rest)
        writer.close()
        return answer

    def count(self, result: str, connection: str = "acme", name: str = "", action: str = "") -> float:
        """How many deliveries ended like this."""
        labels = {"connection": connection, "object": name, "action": action, "result": result}
        return self.metrics.registry.get_sample_value("connector_webhooks_total", labels) or 0

    async def stored(self) -> list[Hint]:
        """The hints in the database, oldest first."""
        return await self.stored_in(self.database)

    async def stored_in(self, database: Database) -> list[Hint]:
        """The same, asked through another pool."""
        async with database.session() as db:
            rows = await db.fetch("select * from connector.event order by id")
        assert all(row["connection"] == "acme" and row["received_at"] == NOW for row in rows)
        return [hint_from_json(row["hint"]) for row in rows]

    async def gap(self) -> tuple[str, str]:
        """The next gap that was told."""
        return await self.told.get()


@contextlib.asynccontextmanager
async def start(dsn: str, limits: Limits = LIMITS, door: Door | None = None) -> AsyncIterator[Post]:
    """A migrated database, a receiver and a client; everything is ended in the order of the composition root."""
    door = door or Door("acme", ((USER, PASSWORD), (USER, OLD_PASSWORD)), received, "person".__eq__)
    metrics, told, woken = Metrics("1.2.3"), asyncio.Queue[tuple[str, str]](), list[str]()
    database = await Database.connect(dsn)

    async def tell(connection: str, reason: str) -> None:
        async with database.session() as db:
            await db.execute("select 1")
        told.put_nowait((connection, reason))

    async def state() -> Mapping[str, object]:
        return {"database": "ok"}

    await migrate(database)
    inbox = Inbox(database, metrics, lambda: NOW, lambda: {"acme": door}, tell, stored=woken.append, limits=limits)
    admin = [metrics_page(metrics), landing_page("1.2.3", {"Metrics": "/metrics"})]
    service = Service([inbox.mount], admin, state=state, listen=Address("127.0.0.1", 0), grace=5)
    telling = asyncio.create_task(inbox.run())
    await service.start()
    service.ready = True
    async with ClientSession() as client:
        yield Post(database, metrics, inbox, service, client, told, woken)
    await service.stop()
    await inbox.close()
    telling.cancel()
    await asyncio.wait({telling})
    await database.close()


@pytest.fixture
async def post(database: str) -> AsyncIterator[Post]:
    """A receiver with the limits of these tests."""
    async with start(database) as running:
        yield running


@pytest.fixture
async def proxy(database: str) -> AsyncIterator[Proxy]:
    """The way to the database, with a plug."""
    async with Proxy(database) as running:
        yield running
