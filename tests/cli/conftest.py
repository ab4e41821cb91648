"""A demo of its own for all tests of commands: database, sandbox and daemon as processes, as a newcomer starts them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from tests.ports import free_port

PATIENCE = 60.0
PERSONS = 14
MAPPINGS = Path(__file__).resolve().parents[2] / "mappings" / "sales-engagement"


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its answer."""
        assert self.out, self.err
        return json.loads(self.out)


async def connector(*words: str, answer: str = "", **variables: str) -> Done:
    """Runs a command in a process of its own, with only these variables of ours in its environment."""
    foreign = {name: value for name, value in os.environ.items() if not name.startswith(("CONNECTOR_", "PIPEDRIVE_"))}
    foreign.pop("DATABASE_URL", None)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "connector", *words),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**foreign, "TERM": "dumb", "COLUMNS": "200", **variables},
    )
    out, err = await asyncio.wait_for(process.communicate(answer.encode()), PATIENCE)
    return Done(process.returncode or 0, out.decode(), err.decode())


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo."""

    facts: dict[str, str]
    data: Path

    async def command(self, *words: str, answer: str = "") -> Done:
        """Runs a command on the demo."""
        return await connector(*words, "--data", str(self.data), answer=answer)

    @property
    def database_url(self) -> str:
        """The app's database."""
        return self.facts["database_url"]


class Sides:
    """Both sides of the demo, for tests to edit and look at."""

    def __init__(self, demo: Demo, db: asyncpg.Connection, http: aiohttp.ClientSession) -> None:
        self.demo, self.db, self._http = demo, db, http

    async def crm(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One call of the sandbox's API; its data."""
        url = f"{self.demo.facts['sandbox_url']}/api/v2/{path}"
        headers = {"x-api-token": self.demo.facts["sandbox_api_token"]}
        async with self._http.request(method, url, json=body, headers=headers) as response:
            said = await response.json()
            assert response.status < 300, said
            return said["data"]

    async def pause(self, *, paused: bool) -> None:
        """Pauses or resumes the connection, and returns once the daemon knows."""
        await self.db.execute("update connector.connection set paused = $1", paused)
        wanted = "paused" if paused else "ok"
        await until(lambda: self._is(wanted))

    async def _is(self, state: str) -> bool:
        async with self._http.get(f"{self.demo.facts['url']}/readyz") as response:
            (told,) = (await response.json())["connections"].values()
            return bool(told["state"] == state)

    async def someone(self, position: int) -> asyncpg.Record:
        """A linked contact, by its place in the order of CRM ids; every test has its own."""
        row = await self.db.fetchrow(
            "select * from app.contacts where pipedrive_id is not null order by pipedrive_id offset $1 limit 1",
            position,
        )
        assert row is not None
        return row


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    """The first true answer of the condition; fails the test when none comes."""
    end = time.monotonic() + PATIENCE
    while not (found := await condition()):
        assert time.monotonic() < end, "the condition never came true"
        await asyncio.sleep(0.05)
    return found


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One demo for the whole session."""
    data = tmp_path_factory.mktemp("demo")
    command = [
        *(sys.executable, "-m", "connector", "demo", "--json", "--data", str(data), "--records", str(PERSONS)),
        *("--listen", f"127.0.0.1:{free_port()}", "--sandbox-listen", f"127.0.0.1:{free_port()}"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        assert process.stdout is not None
        line = process.stdout.readline()
        watchdog.cancel()
        try:
            yield Demo(json.loads(line), data)
        finally:
            process.terminate()
            process.wait(PATIENCE)


@pytest.fixture
async def sides(demo: Demo) -> AsyncIterator[Sides]:
    """Both sides of the demo."""
    db = await asyncpg.connect(demo.database_url)
    async with aiohttp.ClientSession() as http:
        yield Sides(demo, db, http)
    await db.close()
