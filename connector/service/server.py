"""The listeners: one for what the world may reach, one for what operators may; the same address makes them one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import structlog
from aiohttp import web

from connector.service.probes import Part, Probes, State

KEEPALIVE_SECONDS = 75.0
BACKLOG = 1024
LAST_PORT = 65535

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Address:
    """HOST:PORT. An empty host is every interface; port 0 lets the system choose."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """`127.0.0.1:8080`, `[::1]:8080`, `:8080`; ValueError otherwise."""
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdecimal() or int(port) > LAST_PORT:
            raise ValueError(f"{text!r} is not HOST:PORT")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    def __str__(self) -> str:
        host = self.host or "127.0.0.1"
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


class Service:
    """HTTP towards callers. `public` and `admin` are the parts of the two listeners; the probes are on both.

    `ready` is what /readyz says: set it once webhooks can be answered; `stop` takes it back.
    """

    def __init__(
        self,
        public: Sequence[Part],
        admin: Sequence[Part],
        *,
        state: State,
        listen: Address,
        admin_listen: Address | None = None,
        grace: float = 10.0,
    ) -> None:
        self.ready = False
        self._state, self._grace = state, grace
        self._sites = _sites(public, admin, listen, admin_listen or listen)
        self._runners: list[web.AppRunner] = []

    @property
    def addresses(self) -> Sequence[Address]:
        """Where it listens: the public listener first. Empty while it does not."""
        return [
            Address(asked.host, runner.addresses[0][1])
            for (asked, _), runner in zip(self._sites, self._runners, strict=False)
        ]

    async def start(self) -> None:
        """Binds all listeners or none; OSError when an address is not to be had."""
        try:
            for address, parts in self._sites:
                await self._bind(address, parts)
        except BaseException:
            await self.stop()
            raise
        for bound in self.addresses:
            log.info("service.listening", address=str(bound))

    async def stop(self) -> None:
        """Accepts nothing more, lets requests in flight finish within the grace, then ends them."""
        self.ready = False
        runners, self._runners = self._runners, []
        await asyncio.gather(*(runner.cleanup() for runner in runners))

    async def _bind(self, address: Address, parts: Sequence[Part]) -> None:
        app = web.Application()
        for part in (*parts, Probes(lambda: self.ready, self._state).mount):
            part(app)
        runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=KEEPALIVE_SECONDS,
            shutdown_timeout=self._grace,
        )
        self._runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, address.host or None, address.port, backlog=BACKLOG).start()


def _sites(
    public: Sequence[Part], admin: Sequence[Part], listen: Address, admin_listen: Address
) -> Sequence[tuple[Address, Sequence[Part]]]:
    if listen == admin_listen:
        return [(listen, [*public, *admin])]
    return [(listen, public), (admin_listen, admin)]
