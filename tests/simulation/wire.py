"""HTTP through memory: aiohttp's own client and server, joined by pipes instead of sockets, in simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.client_proto import ResponseHandler

from tests.simulation.life import Life

Place = tuple[str, int]


class Pipe(asyncio.Transport):
    """One end of a connection: what is written arrives at the other end a moment later, in order."""

    def __init__(self, net: Net, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._net, self._protocol = net, protocol
        self._peer: Pipe | None = None
        self._closing = False
        self._last = 0.0

    def join(self, peer: Pipe) -> None:
        """Tells this end its other end."""
        self._peer = peer

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends."""
        if not self._closing:
            self._later(self._arrive, bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        """Sends all at once."""
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        """Ends the connection for both."""
        if not self._closing:
            self._closing = True
            self._later(self._end)
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    abort = close

    def is_closing(self) -> bool:
        """True once closed from either end."""
        return self._closing

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """There is no socket to tell of."""
        return ("127.0.0.1", 1) if name == "peername" else default

    def get_write_buffer_size(self) -> int:
        """Nothing waits."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits."""

    def pause_reading(self) -> None:
        """Bodies are small."""

    def resume_reading(self) -> None:
        """Bodies are small."""

    def can_write_eof(self) -> bool:
        """Not needed for HTTP."""
        return False

    def _later(self, call: Callable[..., None], *args: Any) -> None:
        loop = asyncio.get_running_loop()
        self._last = max(self._last, loop.time() + self._net.delay()) + 1e-9
        loop.call_at(self._last, call, *args)

    def _arrive(self, data: bytes) -> None:
        peer = self._peer
        if peer is not None and not peer._closing:
            peer._protocol.data_received(data)

    def _end(self) -> None:
        peer = self._peer
        if peer is not None and not peer._closing:
            peer._closing = True
            peer._protocol.connection_lost(ConnectionResetError())


@dataclass(slots=True)
class Net:
    """Who listens where, and how long bytes travel."""

    chance: Random
    listeners: dict[Place, dict[web.Server, Context]] = field(default_factory=dict)
    """Several processes may listen at one place, as behind a load balancer; each answers as itself, not as who calls."""
    _accepted: dict[int, list[Pipe]] = field(default_factory=dict)

    def delay(self) -> float:
        """Seconds until bytes arrive."""
        return self.chance.choice((0.0005, 0.001, 0.002, 0.005, 0.02))

    def connect(self, place: Place, client: asyncio.Protocol) -> Pipe:
        """A new connection to whoever listens there; ConnectionRefusedError when nobody does."""
        servers = self.listeners.get(place)
        if not servers:
            raise ConnectionRefusedError(f"nobody listens at {place[0]}:{place[1]}")
        server = self.chance.choice(list(servers))
        accepted = server()
        ours, theirs = Pipe(self, client), Pipe(self, accepted)
        ours.join(theirs)
        theirs.join(ours)
        servers[server].copy().run(accepted.connection_made, theirs)
        client.connection_made(ours)
        self._accepted[id(server)] = [*(p for p in self._accepted.get(id(server), []) if not p.is_closing()), theirs]
        return ours

    def listen(self, place: Place, server: web.Server) -> None:
        """From now on the server accepts connections there."""
        self.listeners.setdefault(place, {})[server] = copy_context()

    def leave(self, place: Place, server: web.Server) -> None:
        """The server accepts nothing more."""
        self.listeners.get(place, {}).pop(server, None)

    def cut(self, place: Place, server: web.Server) -> None:
        """The server is no more, and what was connected to it is not."""
        self.leave(place, server)
        for end in self._accepted.pop(id(server), []):
            end.close()


class MemoryConnector(aiohttp.BaseConnector):
    """aiohttp's client side of the net."""

    def __init__(self, net: Net, limit: int = 100) -> None:
        super().__init__(limit=limit)
        self._net = net
        self._pipes: list[Pipe] = []

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 (aiohttp's own shape)
    ) -> ResponseHandler:
        protocol = self._factory()
        try:
            pipe = self._net.connect((str(req.url.host), int(req.url.port or 80)), protocol)
        except ConnectionRefusedError as error:
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error
        self._pipes = [p for p in self._pipes if not p.is_closing()] + [pipe]
        return protocol

    def cut(self) -> None:
        """Ends every connection at once, as the death of the process does."""
        for pipe in self._pipes:
            pipe.close()


class MemorySite(web.BaseSite):
    """Listens in the net instead of on a socket."""

    def __init__(self, net: Net, life: Life | None, runner: web.AppRunner, host: str | None, port: int | None) -> None:
        super().__init__(runner)
        self._net, self._life, self._place = net, life, (host or "127.0.0.1", port or 0)

    @property
    def name(self) -> str:
        """The address as a URL."""
        return f"http://{self._place[0]}:{self._place[1]}"

    async def start(self) -> None:
        """From now on connections are accepted."""
        await super().start()
        server = self._runner.server
        assert isinstance(server, web.Server)
        self._net.listen(self._place, server)
        if self._life is not None:
            self._life.bury.append(lambda: self._net.cut(self._place, server))
        self._server = _Listener(self._net, self._place, server)  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class _Listener:
    """What aiohttp asks of a listening socket."""

    net: Net
    place: Place
    server: web.Server

    @property
    def sockets(self) -> list[_Listener]:
        return [self]

    def getsockname(self) -> Place:
        return self.place

    def close(self) -> None:
        self.net.leave(self.place, self.server)
