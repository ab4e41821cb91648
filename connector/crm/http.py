"""One HTTP session per CRM account: sends bytes, brings back bytes, and knows whether a request ever left.

Nothing here reads a body. A failure names the kind of failure only: no URL, no header, no value.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
from pydantic_core import from_json

from connector.core.errors import UnavailableError
from connector.core.model import Json
from connector.ports import WRITE_SECONDS

CONNECT_SECONDS: Final = 10.0
TOTAL_SECONDS: Final = 30.0
_JSON: Final = {"Content-Type": "application/json"}
"""Of a request with a body only: some servers refuse the announcement of one that does not come."""


class NoAnswerError(UnavailableError):
    """The request left and no answer tells what became of it: a write may have been applied."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to get a connection, and for everything together, of a read and of a change."""

    connect: float = CONNECT_SECONDS
    total: float = TOTAL_SECONDS
    change: float = WRITE_SECONDS

    def of(self, method: str) -> aiohttp.ClientTimeout:
        """Those of a request."""
        total = self.total if method == "GET" else min(self.change, self.total)
        return aiohttp.ClientTimeout(total=total, sock_connect=self.connect)


@dataclass(frozen=True, slots=True)
class Answer:
    """Whatever came back, of any status. Header names are matched without case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def html(self) -> bool:
        """True when a gateway or a wall answered, not the API."""
        return "html" in self.headers.get("Content-Type", "") or self.body.lstrip()[:1] == b"<"

    def json(self) -> Json:
        """The body decoded; ValueError when it is not JSON.

        The fast decoder refuses half a surrogate pair, which a text cut by its UTF-16 length may hold.
        """
        try:
            decoded: Json = from_json(self.body)
        except ValueError:
            decoded = json.loads(self.body)
        return decoded


class Http:
    """Sends requests with the given headers over kept connections; a change leaves once, whatever becomes of it.

    Redirects are not followed: they would carry the credentials elsewhere.
    """

    def __init__(self, headers: Mapping[str, str], *, timeouts: Timeouts | None = None, connections: int = 32) -> None:
        self._headers = dict(headers)
        self._timeouts = timeouts or Timeouts()
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self, method: str, url: str, *, params: Mapping[str, str] | None = None, body: Json = None
    ) -> Answer:
        """The answer to one request.

        UnavailableError: it certainly never left. NoAnswerError: it left and no whole answer came.
        """
        left = asyncio.Event()
        data = None if body is None else json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        headers = None if body is None else _JSON
        try:
            async with self._open().request(
                method,
                url,
                params=params,
                data=data,
                headers=headers,
                allow_redirects=False,
                trace_request_ctx=left,
                timeout=self._timeouts.of(method),
            ) as response:
                return Answer(response.status, response.headers, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _failure(error, left=left.is_set()) from error

    async def close(self) -> None:
        """End all connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            trace = aiohttp.TraceConfig()
            trace.on_request_headers_sent.append(_note_leaving)
            self._session = aiohttp.ClientSession(
                headers={"Accept": "application/json", **self._headers},
                skip_auto_headers=("Content-Type",),
                connector=aiohttp.TCPConnector(limit=self._connections),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[trace],
                middlewares=[_change_once],
            )
        return self._session


async def _change_once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keeps aiohttp from repeating a change on a cut connection: it repeats these two errors of any PUT and DELETE."""
    try:
        return await send(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if request.method == "GET":
            raise
        raise aiohttp.ClientConnectionError(type(error).__name__) from error


async def _note_leaving(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:  # noqa: ANN401
    """Runs before the first byte of a request leaves."""
    context.trace_request_ctx.set()


def _failure(error: Exception, *, left: bool) -> UnavailableError:
    kind = type(error).__name__
    return NoAnswerError(f"no answer ({kind})") if left else UnavailableError(f"no connection ({kind})")
