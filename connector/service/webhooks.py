"""POST /webhooks/{connection}: authenticate, read, understand, store, answer. Nothing is synced here.

An answer other than 2xx gets the subscription banned and its events lost. So whatever an authenticated sender delivers
is stored, or of no interest, or remembered as a gap that a sweep closes, and answered 200; only a body that never
arrives is not.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NoReturn

import structlog
from aiohttp import hdrs, web

from connector.obs.metrics import Metrics
from connector.ports import Hint, NotUnderstoodError
from connector.service.bodies import BodyError, BrokenError, Limits, SlowError, TooLargeError, read_body
from connector.service.deliveries import Deliveries, Fate
from connector.service.gaps import Gaps, Tell
from connector.store.db import Database
from connector.store.hints import hint_json
from connector.store.notes import Event

NO_BODY: Mapping[type[BodyError], tuple[str, int]] = {
    TooLargeError: ("too_large", 200),
    SlowError: ("slow", 408),
    BrokenError: ("broken_off", 400),
}
NOT_STORED = {Fate.UNSTORABLE: "not_understood", Fate.AWAY: "database_away"}

ROUTE = "/{before:/*}webhooks/{between:/*}{connection}{after:/*}"
"""As addresses are pasted and joined: also with a slash at their end, or two where one is meant."""

CHECK = "X-Connector-Check"
"""A header of our own: whether a delivery would get here is asked, and nothing is delivered."""
OTHER = "other"
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Door:
    """How deliveries to one connection are recognised and read. Of several credentials each is valid (rotation).

    `known` says whether an object's name is one of the CRM's: what else a delivery calls its object is told to nobody.
    """

    connection: str
    credentials: tuple[tuple[str, str], ...]
    received: Callable[[Mapping[str, str], bytes], Sequence[Hint]]
    known: Callable[[str], bool]


class Inbox:
    """The receiver of webhooks. `doors` is asked at every delivery; `run` must run beside the server.

    `stored` hears the connection of every delivery that is durable: whoever folds in this process need not poll for it.
    """

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        clock: Callable[[], datetime],
        doors: Callable[[], Mapping[str, Door]],
        gap: Tell,
        *,
        stored: Callable[[str], None],
        limits: Limits | None = None,
    ) -> None:
        self._metrics, self._clock, self._doors, self._stored = metrics, clock, doors, stored
        self._limits = limits or Limits()
        self._deliveries = Deliveries(database, self._limits)
        self._seen: dict[str, datetime] = {}
        self.gaps = Gaps(gap, pause=self._limits.retry_seconds)

    @property
    def seen(self) -> Mapping[str, datetime]:
        """When each connection last delivered something to this process, authenticated."""
        return self._seen

    def mount(self, app: web.Application) -> None:
        """Puts the route on an application."""
        app.router.add_post(ROUTE, self._receive)

    async def run(self) -> NoReturn:
        """Tells gaps until cancelled."""
        await self.gaps.run()

    async def close(self) -> None:
        """Returns when every delivery taken on is answered. Call it once the server has stopped."""
        await self._deliveries.close()

    async def _receive(self, request: web.Request) -> web.Response:
        door = self._doors().get(request.match_info["connection"])
        if door is None:
            self._count("", "unknown_connection")
            return web.Response(status=404)
        if not authentic(request.headers.get(hdrs.AUTHORIZATION), door.credentials):
            self._count(door.connection, "unauthenticated")
            return web.Response(status=401, headers={hdrs.WWW_AUTHENTICATE: 'Basic realm="connector", charset="UTF-8"'})
        if CHECK in request.headers:
            return web.Response(status=204)
        self._saw(door.connection)
        return await self._admitted(door, request)

    async def _admitted(self, door: Door, request: web.Request) -> web.Response:
        if not _is_json(request.content_type):
            return self._gap(door, "not_json")
        try:
            body = await read_body(request, self._limits)
        except BodyError as error:
            return self._gap(door, *NO_BODY[type(error)])
        return await self._read(door, request.headers, body)

    async def _read(self, door: Door, headers: Mapping[str, str], body: bytes) -> web.Response:
        try:
            hints = door.received(headers, body)
            events = [self._event(door, hint) for hint in hints]
        except (NotUnderstoodError, ValueError):
            return self._gap(door, "not_understood")
        except Exception:  # a defect of an adapter must not get the subscription banned
            log.exception("webhook.misread", connection=door.connection)
            return self._gap(door, "not_understood")
        return await self._store(door, hints, events)

    async def _store(self, door: Door, hints: Sequence[Hint], events: Sequence[Event]) -> web.Response:
        if not events:
            self._count(door.connection, "ignored")
            return web.Response()
        fate = await self._deliveries.store(events)
        if fate is not Fate.STORED:
            return self._gap(door, NOT_STORED[fate])
        self._stored(door.connection)
        for hint in hints:
            self._count(door.connection, fate, hint.object if door.known(hint.object) else OTHER, hint.kind)
        return web.Response()

    def _event(self, door: Door, hint: Hint) -> Event:
        text = hint_json(hint)
        return Event(door.connection, hint.id, hint.object, hint.crm_id, hint.kind.value, text, self._clock())

    def _gap(self, door: Door, reason: str, status: int = 200) -> web.Response:
        self._count(door.connection, reason)
        self.gaps.remember(door.connection, reason)
        return web.Response(status=status)

    def _saw(self, connection: str) -> None:
        if connection not in self._seen:
            self._metrics.webhook_age.labels(connection).set_function(partial(self._age, connection))
        self._seen[connection] = self._clock()

    def _age(self, connection: str) -> float:
        return (self._clock() - self._seen[connection]).total_seconds()

    def _count(self, connection: str, result: str, name: str = "", action: str = "") -> None:
        self._metrics.webhooks.labels(connection, name, action, result).inc()


def authentic(header: str | None, credentials: Sequence[tuple[str, str]]) -> bool:
    """True when the Authorization header holds one of the pairs; how nearly it does shows in no timing."""
    given = _basic(header or "")
    matches = [
        hmac.compare_digest(given, f"{user}:{password}".encode()) for user, password in credentials if user and password
    ]
    return any(matches)


def _basic(header: str) -> bytes:
    scheme, _, token = header.partition(" ")
    try:
        return base64.b64decode(token.strip(), validate=True) if scheme.lower() == "basic" else b""
    except ValueError:
        return b""


def _is_json(content_type: str) -> bool:
    return content_type == "application/json" or content_type.endswith("+json")
