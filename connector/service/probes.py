"""GET /healthz, /readyz, /metrics and the landing page: what machines ask about this process, and its door sign."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Awaitable, Callable, Mapping

import structlog
from aiohttp import hdrs, web

from connector.obs.metrics import CONTENT_TYPE, Metrics

State = Callable[[], Awaitable[Mapping[str, object]]]
"""State of the database, mappings, lease, last CRM answer, connections; JSON values without record values."""
Part = Callable[[web.Application], None]
"""Something that puts its routes on an application."""

STATE_SECONDS = 0.8
UNCACHED = {hdrs.CACHE_CONTROL: "no-store"}

log = structlog.get_logger()


class Probes:
    """Liveness and readiness. The state told is never older than one answer of `state`, unless that one hangs."""

    def __init__(self, ready: Callable[[], bool], state: State) -> None:
        self._ready, self._state = ready, state
        self._asking: asyncio.Task[Mapping[str, object]] | None = None

    def mount(self, app: web.Application) -> None:
        """Puts the routes on an application; a question still open when it ends is dropped."""
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.on_cleanup.append(self._drop)

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"}, headers=UNCACHED)

    async def _readyz(self, _: web.Request) -> web.Response:
        state = await self._ask()
        ready = self._ready()
        body = {"status": "ready" if ready else "not ready", **state}
        return web.json_response(body, status=200 if ready else 503, headers=UNCACHED)

    async def _ask(self) -> Mapping[str, object]:
        """The state, or word that it is not to be had in time. One question is open at a time, whoever asks."""
        if self._asking is None:
            self._asking = asyncio.create_task(_asked(self._state), name="readyz")
        asking = self._asking
        await asyncio.wait({asking}, timeout=STATE_SECONDS)
        if not asking.done():
            return {"state": "no answer in time"}
        if self._asking is asking:
            self._asking = None
        if error := asking.exception():
            log.warning("readyz.state_unknown", error=error)
            return {"state": "unknown"}
        return asking.result()

    async def _drop(self, _: web.Application) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking}, timeout=STATE_SECONDS)
            self._asking = None


async def _asked(state: State) -> Mapping[str, object]:
    return await state()


def metrics_page(metrics: Metrics) -> Part:
    """GET /metrics for Prometheus."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})

    return lambda app: _add_get(app, "/metrics", answer)


def landing_page(version: str, links: Mapping[str, str]) -> Part:
    """GET /: the version, and `links` (text to path or URL)."""
    items = "".join(f'<li><a href="{html.escape(url)}">{html.escape(text)}</a></li>' for text, url in links.items())
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Connector</title>'
        f"<h1>Connector {html.escape(version)}</h1><ul>{items}</ul></html>"
    )

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html")

    return lambda app: _add_get(app, "/", answer)


def _add_get(app: web.Application, path: str, answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
    app.router.add_get(path, answer)
