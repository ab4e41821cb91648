"""A running sandbox with a clock in the test's hand, a client that judges every answer, and a receiver of webhooks."""

import asyncio
import base64
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from connector.sandbox.company import Clock
from connector.sandbox.server import Sandbox, Settings, running
from tests.sandbox import openapi

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
PATIENCE = 10.0


@dataclass(slots=True)
class Ticker:
    """A clock that moves only when told to."""

    now: datetime = START

    def __call__(self) -> datetime:
        """Give the time."""
        return self.now

    def tick(self, seconds: float = 1.0) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


@dataclass(slots=True)
class Answered:
    """One answer: status, decoded body, headers by name in lower case."""

    status: int
    body: Any
    headers: dict[str, str]

    @property
    def data(self) -> Any:
        """The data of a successful answer."""
        assert self.status < 300, (self.status, self.body)
        return self.body["data"]


@dataclass(slots=True)
class Client:
    """Calls the sandbox as a user and holds every answer against the published description."""

    url: str
    token: str
    http: aiohttp.ClientSession
    source: str = "api"

    def as_(self, token: str, source: str = "app") -> "Client":
        """Give a client of another user or through the web app."""
        return Client(self.url, token, self.http, source)

    async def call(self, method: str, path: str, body: Any = None, **params: Any) -> Answered:
        """Call an endpoint."""
        headers = {"x-api-token": self.token, "x-sandbox-source": self.source}
        query = {key: str(value) for key, value in params.items()}
        async with self.http.request(method, self.url + path, json=body, params=query, headers=headers) as response:
            raw = await response.read()
            decoded = json.loads(raw) if "json" in response.content_type else raw
            answered = Answered(response.status, decoded, {k.lower(): v for k, v in response.headers.items()})
        if not path.startswith("/sandbox"):
            described = path.partition("?")[0]
            assert openapi.complaints(method, described, answered.status, answered.body) == []
        return answered

    async def get(self, path: str, **params: Any) -> Answered:
        """GET a path."""
        return await self.call("GET", path, **params)

    async def post(self, path: str, body: Any = None) -> Answered:
        """POST a path."""
        return await self.call("POST", path, body)

    async def patch(self, path: str, body: Any) -> Answered:
        """PATCH a path."""
        return await self.call("PATCH", path, body)

    async def put(self, path: str, body: Any) -> Answered:
        """PUT a path."""
        return await self.call("PUT", path, body)

    async def delete(self, path: str, body: Any = None) -> Answered:
        """DELETE a path."""
        return await self.call("DELETE", path, body)

    async def walk(self, path: str, **params: Any) -> list[Any]:
        """Collect a whole v2 list by its cursors."""
        found: list[Any] = []
        while True:
            answer = await self.get(path, **params)
            found += answer.data
            if (cursor := answer.body["additional_data"]["next_cursor"]) is None:
                return found
            params["cursor"] = cursor


@dataclass(slots=True)
class Received:
    """One webhook as it arrived."""

    body: Any
    authorization: str | None
    user_agent: str | None

    @property
    def meta(self) -> Any:
        """The envelope's head."""
        return self.body["meta"]


@dataclass(slots=True)
class Receiver:
    """A web server that takes webhooks; ``answers`` are the next statuses, then 200; ``gate`` holds answers back."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answers: deque[int] = field(default_factory=deque)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, request: web.Request) -> web.Response:
        """Take one webhook."""
        headers = request.headers
        received = Received(await request.json(), headers.get("Authorization"), headers.get("User-Agent"))
        async with self._arrived:
            self.received.append(received)
            self._arrived.notify_all()
        await self.gate.wait()
        return web.Response(status=self.answers.popleft() if self.answers else 200)

    async def wait(self, count: int) -> list[Received]:
        """Wait until so many have arrived."""
        async with asyncio.timeout(PATIENCE), self._arrived:
            await self._arrived.wait_for(lambda: len(self.received) >= count)
        return self.received

    async def until(self, wanted: Callable[[Received], bool]) -> Received:
        """Wait for one that is wanted."""
        async with asyncio.timeout(PATIENCE), self._arrived:
            await self._arrived.wait_for(lambda: any(map(wanted, self.received)))
        return next(filter(wanted, self.received))


@pytest.fixture
def ticker() -> Ticker:
    """The time of the CRM."""
    return Ticker()


@pytest.fixture
async def sandbox(ticker: Ticker) -> AsyncIterator[Sandbox]:
    """A sandbox with a little sample data, in memory."""
    async with running(Settings(records=12, seed=7, clock=Clock(ticker))) as served:
        yield served


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A session that survives cut connections."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def crm(sandbox: Sandbox, http: aiohttp.ClientSession) -> Client:
    """A client with the main token."""
    return Client(sandbox.url, sandbox.token, http)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver of webhooks on loopback."""
    taking = Receiver()
    taking.gate.set()
    app = web.Application()
    app.router.add_post("/hook", taking.take)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    taking.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield taking
    await runner.cleanup()


async def subscribe(crm: Client, receiver: Receiver, **more: Any) -> Any:
    """Subscribe the receiver to everything."""
    body = {"subscription_url": receiver.url, "event_action": "*", "event_object": "*", "name": "test", **more}
    answer = await crm.post("/v1/webhooks", body)
    assert answer.status == 201
    return answer.data


def basic(user: str, password: str) -> str:
    """Spell a Basic authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
