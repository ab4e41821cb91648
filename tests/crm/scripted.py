"""The Pipedrive adapter before a server that answers by a table, over real HTTP on loopback.

It knows nothing but what a test writes down, so a test can say what the documentation shows or allows.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web
from aiohttp.test_utils import TestServer

from connector.crm.clock import Clock
from connector.crm.http import Timeouts
from connector.crm.pipedrive.adapter import PipedriveCRM

SECRET: Final = "0123456789abcdef0123456789abcdef01234567"
NOW: Final = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Said:
    """One answer. `text` replaces the body; headers may spell themselves as they like."""

    body: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None

    def response(self) -> web.Response:
        """The answer as aiohttp gives it."""
        text = json.dumps(self.body) if self.text is None else self.text
        headers = {"Content-Type": "application/json; charset=utf-8", **self.headers}
        return web.Response(status=self.status, text=text, headers=headers)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any

    @property
    def line(self) -> str:
        """`METHOD /path`, the key of the table."""
        return f"{self.method} {self.path}"


Answers = Mapping[str, Said | Sequence[Said]]
UNKNOWN: Final = Said({"success": False, "error": "not found"}, 404)


class Script:
    """Answers `METHOD /path` by its table; of several answers one after the other, the last one for ever."""

    def __init__(self, answers: Answers) -> None:
        self.asked: list[Asked] = []
        self._left = {line: [each] if isinstance(each, Said) else list(each) for line, each in answers.items()}

    async def answer(self, request: web.Request) -> web.Response:
        """The next answer to this request."""
        raw = await request.text()
        body = json.loads(raw) if raw else None
        asked = Asked(request.method, request.path, dict(request.query), request.headers, body)
        self.asked.append(asked)
        left = self._left.get(asked.line, [UNKNOWN])
        return (left.pop(0) if len(left) > 1 else left[0]).response()

    @property
    def lines(self) -> list[str]:
        """What was asked, in order."""
        return [each.line for each in self.asked]


@asynccontextmanager
async def scripted(answers: Answers, *, path: str = "", **options: Any) -> AsyncIterator[tuple[PipedriveCRM, Script]]:
    """An adapter and the script before it; `path` is pasted behind the address, `options` are those of PipedriveCRM."""
    script, app = Script(answers), web.Application()
    app.router.add_route("*", "/{tail:.*}", script.answer)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/") + path
        timeouts = Timeouts(connect=1, total=5)
        crm = PipedriveCRM(
            **{"url": url, "api_token": SECRET, "clock": Clock(lambda: NOW), "timeouts": timeouts, **options}
        )
        try:
            yield crm, script
        finally:
            await crm.close()


def ok(data: object = None, status: int = 200, **more: object) -> Said:
    """A successful answer in the documented envelope; `more` stands beside `data`."""
    return Said({"success": True, "data": data, **more}, status)
