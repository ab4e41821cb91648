"""The sandbox over HTTP: reads requests, lets faults have their way, answers, brings webhooks.

``async with running(Settings()) as sandbox:`` serves on a free loopback port and stops cleanly.
"""

import asyncio
import gc
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from connector.sandbox import journal, page
from connector.sandbox.api import HTML_403, Api
from connector.sandbox.calls import Request, Response
from connector.sandbox.company import Clock, Company
from connector.sandbox.control import Control
from connector.sandbox.faults import BodyKind, Faults, Kind, Rule
from connector.sandbox.limits import Limits
from connector.sandbox.refusals import Refusal, default_body
from connector.sandbox.webhooks import Deliverer
from connector.sandbox.wire import dumps
from connector.sandbox.world import World

HANG = 3600.0
PROBE = 2.0
MAX_BODY = 512 * 1024**2  # bulk creation posts whole data sets


@dataclass(frozen=True, slots=True)
class Settings:
    """How to run a sandbox; without ``data`` the state lives in memory, port 0 is a free port."""

    host: str = "127.0.0.1"
    port: int = 0
    data: Path | None = None
    records: int = 0
    seed: int = 1
    limits: str = "off"
    clock: Clock = field(default_factory=Clock)


@dataclass(slots=True)
class Sandbox:
    """A running sandbox."""

    api: Api
    faults: Faults
    deliverer: Deliverer
    control: Control
    url: str = ""
    _late: set[asyncio.Task[None]] = field(default_factory=set)
    _stale: dict[str, Response] = field(default_factory=dict)

    @property
    def world(self) -> World:
        """The state, to look at."""
        return self.api.company.world

    @property
    def late(self) -> int:
        """How many writes are still to be applied late."""
        return len(self._late)

    @property
    def token(self) -> str:
        """The API token of the first user, an admin."""
        return self.tokens[0]

    @property
    def tokens(self) -> list[str]:
        """The API tokens of all users."""
        return [user.token for user in self.world.users.values()]

    async def handle(self, http: web.Request) -> web.StreamResponse:
        """Answer one HTTP request."""
        request = await _read(http)
        if request.path.startswith("/sandbox/"):
            return _respond(self._controlled(request))
        if (request.method, request.path) == ("GET", "/"):
            return _respond(Response(200, page.render(self.world, self.url), content_type="text/html"))
        rule = self.faults.match(request.method, request.path)
        return await (self._faulty(rule, request, http) if rule else self._answered(request))

    async def _answered(self, request: Request) -> web.StreamResponse:
        return _respond(await self._apply(request))

    async def _apply(self, request: Request) -> Response:
        """Answer and start the webhooks this causes; by policy their first attempts end before the answer is sent."""
        if request.method == "POST" and request.path.endswith("/v1/webhooks"):
            request = await _probed(request)
        response = self.api.answer(request)
        firsts = self.deliverer.pump()
        if self.deliverer.policy.before_response:
            for first in firsts:
                await first.wait()
        return response

    def _controlled(self, request: Request) -> Response:
        try:
            body = json.loads(request.body or b"{}")
            with _no_collection():
                answer = self.control.answer(request.method, request.path.removeprefix("/sandbox/"), body)
        except (TypeError, ValueError) as error:
            return Response(400, dumps(default_body(f"malformed body: {error}")))
        except Refusal as refusal:
            return Response(refusal.status, dumps(refusal.body))
        self.deliverer.pump()
        return Response(answer.status, answer.body)

    async def _faulty(self, rule: Rule, request: Request, http: web.Request) -> web.StreamResponse:
        match rule.kind:
            case Kind.STATUS:
                return _respond(_status_fault(rule, request))
            case Kind.HTML_403:
                return _respond(Response(403, HTML_403, content_type="text/html"))
            case Kind.SLOW:
                await asyncio.sleep(rule.seconds)
                return await self._answered(request)
            case Kind.STALE | Kind.SLOW_AFTER:
                return await self._behind(rule, request, http)
            case Kind.APPLIED_LATE:
                self._apply_late(rule.seconds, request)
            case Kind.TIMEOUT_AFTER | Kind.DISCONNECT_AFTER:
                await self._apply(request)
            case Kind.TIMEOUT_BEFORE | Kind.DISCONNECT_BEFORE:
                pass
        if rule.kind in (Kind.DISCONNECT_BEFORE, Kind.DISCONNECT_AFTER):
            return _cut(http)
        await asyncio.sleep(HANG)
        return _cut(http)

    async def _behind(self, rule: Rule, request: Request, http: web.Request) -> web.StreamResponse:
        """Answer from the past: from the first of these requests, or from some seconds ago."""
        response = await self._apply(request)
        if rule.kind is Kind.STALE:
            return _respond(self._stale.setdefault(http.path_qs, response))
        await asyncio.sleep(rule.seconds)
        return _respond(response)

    def _apply_late(self, seconds: float, request: Request) -> None:
        async def later() -> None:
            await asyncio.sleep(seconds)
            await self._apply(request)

        task = asyncio.create_task(later())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def close(self) -> None:
        """End what is under way: late writes and deliveries."""
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)
        await self.deliverer.close()


async def _read(http: web.Request) -> Request:
    headers = {name.lower(): value for name, value in http.headers.items()}
    return Request(http.method, http.path, dict(http.query), headers, await http.read())


def _respond(response: Response) -> web.Response:
    return web.Response(
        status=response.status,
        body=response.body,
        headers=dict(response.headers),
        content_type=response.content_type,
        charset="utf-8",
    )


def _status_fault(rule: Rule, request: Request) -> Response:
    match rule.body:
        case BodyKind.JSON:
            return Response(rule.code, dumps(default_body("Something went wrong.")))
        case BodyKind.HTML:
            return Response(rule.code, b"<html><body>Something went wrong.</body></html>", content_type="text/html")
        case BodyKind.EMPTY:
            return Response(rule.code, b"")
        case BodyKind.TORN:
            return Response(rule.code, b'{"success": tr')
        case BodyKind.ECHO:
            said = f"Validation failed: name: {request.body.decode(errors='replace')} is not valid"
            return Response(rule.code, dumps(default_body(said, said)))


def _cut(http: web.Request) -> web.StreamResponse:
    """Cut the connection without an answer."""
    if http.transport is not None:
        http.transport.abort()
    return web.Response()


async def _probed(request: Request) -> Request:
    """Find out whether somebody listens at the subscription URL of the body."""
    try:
        parts = urlsplit(json.loads(request.body)["subscription_url"])
        port = parts.port or (443 if parts.scheme == "https" else 80)
        _, writer = await asyncio.wait_for(asyncio.open_connection(parts.hostname, port), PROBE)
    except (ValueError, KeyError, TypeError):
        return request
    except OSError:
        return Request(request.method, request.path, request.query, request.headers, request.body, reachable=False)
    writer.close()
    return request


@contextmanager
def _no_collection() -> Iterator[None]:
    """Making records by the ten thousand leaves no garbage; looking for some costs a third of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def open_company(settings: Settings) -> tuple[Company, journal.Journal | None]:
    """Give the company of a data directory as it was left, or found it with sample data."""
    with _no_collection():
        return _opened(settings)


def _opened(settings: Settings) -> tuple[Company, journal.Journal | None]:
    path = settings.data / "sandbox.jsonl" if settings.data is not None else None
    world = journal.replay(path) if path else None
    log = journal.Journal(path) if path else None
    company = Company(world or World(settings.seed), settings.clock)
    if log is not None:
        company.keep = log.append
    if world is None:
        if log is not None:
            log.begin(settings.seed)
        company.do(company.admin(), "sandbox.found", settings.records, settings.seed)
    return company, log


@asynccontextmanager
async def running(settings: Settings | None = None) -> AsyncIterator[Sandbox]:
    """Serve a sandbox while the context lasts."""
    settings = settings or Settings()
    company, log = open_company(settings)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:
        sandbox = _assemble(settings, company, session)
        runner = web.AppRunner(_application(sandbox), access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await runner.setup()
        try:
            site = web.TCPSite(runner, settings.host, settings.port)
            await site.start()
            port = runner.addresses[0][1]
            sandbox.url = f"http://{settings.host}:{port}"
            yield sandbox
        finally:
            await sandbox.close()
            await runner.cleanup()
            if log is not None:
                log.close()


def _assemble(settings: Settings, company: Company, session: aiohttp.ClientSession) -> Sandbox:
    chance = random.Random(settings.seed)
    api = Api(company, Limits.of(settings.limits, len(company.world.users)), settings.clock.source)
    faults = Faults(chance)
    deliverer = Deliverer(company, session, chance)
    return Sandbox(api, faults, deliverer, Control(api, faults, deliverer))


def _application(sandbox: Sandbox) -> web.Application:
    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_route("*", "/{tail:.*}", sandbox.handle)
    return app
