"""`connector demo` as a process, driven by what it prints and by the two sides alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import asyncpg

from tests.ports import free_port

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
STARTS_WITHIN, STOPS_WITHIN, PATIENCE = 60.0, 10.0, 20.0


@dataclass(slots=True)
class Demo:
    """One data directory and two ports; started and stopped at will."""

    data: Path
    mappings: Path
    records: int = 20
    port: int = field(default_factory=free_port)
    sandbox_port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None
    info: dict[str, str] = field(default_factory=dict)

    async def spawn(self) -> asyncio.subprocess.Process:
        """The process, at its very beginning."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "connector", "demo", "--json",
            "--listen", f"127.0.0.1:{self.port}", "--sandbox-listen", f"127.0.0.1:{self.sandbox_port}",
            "--data", str(self.data), "--mappings", str(self.mappings), "--records", str(self.records), "--seed", "7",
            cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        return self.process

    async def start(self) -> None:
        """Returns when all is ready."""
        process = await self.spawn()
        assert process.stdout is not None
        assert process.stderr is not None
        line = await asyncio.wait_for(process.stdout.readline(), STARTS_WITHIN)
        assert line, (await process.stderr.read()).decode()[-2000:]
        self.info = json.loads(line)

    async def stop(self) -> int:
        """SIGTERM; the exit code, which must come in time."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(self.process.communicate(), STOPS_WITHIN)
        assert self.process.returncode is not None
        return self.process.returncode

    async def end(self) -> None:
        """Whatever is left of it, as an ordinary stop does it, else by force."""
        if self.process is None or self.process.returncode is not None:
            return
        try:
            await self.stop()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    def listening(self) -> list[int]:
        """Ports of ours on which somebody still answers."""
        database = urlsplit(self.info["database_url"]).port if self.info else None
        return [port for port in (self.port, self.sandbox_port, database) if port is not None and answers(port)]

    @asynccontextmanager
    async def sides(self) -> AsyncIterator[Sides]:
        """Both sides of a running demo."""
        db = await asyncpg.connect(self.info["database_url"])
        try:
            async with aiohttp.ClientSession(headers={"x-api-token": self.info["sandbox_api_token"]}) as http:
                yield Sides(self.info["sandbox_url"], db, http)
        finally:
            await db.close()


@dataclass(frozen=True, slots=True)
class Sides:
    """The application's database and the CRM's API under the daemon's own token."""

    url: str
    db: asyncpg.Connection
    http: aiohttp.ClientSession

    async def crm(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """The data of an answer."""
        async with self.http.request(method, f"{self.url}{path}", json=body, params=params) as response:
            answer = await response.json()
            assert response.status < 400, answer
            return answer["data"]


def answers(port: int) -> bool:
    """True when somebody listens there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
        return True
    return False


async def until(probe: Callable[[], Awaitable[T]], seconds: float = PATIENCE) -> T:
    """Polls until the probe returns something true."""
    deadline = time.monotonic() + seconds
    while not (value := await probe()):
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.02)
    return value
