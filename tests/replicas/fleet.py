"""The daemons of one database, each a process; a load balancer before them, and a watch on who owns what."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import asyncpg

from tests.engine.rig import FastClock
from tests.kill.process import Process
from tests.ports import free_port
from tests.replicas.estate import Tenant

LOOK = 0.02


@dataclass(slots=True)
class Replica:
    """One daemon and where it listens."""

    process: Process
    port: int


@dataclass(slots=True)
class Balancer:
    """Brings every webhook to some replica that listens, whoever owns the connection."""

    replicas: Sequence[Replica]
    chance: Random
    refused: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the CRM."""
        for replica in self.chance.sample(list(self.replicas), len(self.replicas)):
            with contextlib.suppress(OSError):
                there = await asyncio.open_connection("127.0.0.1", replica.port)
                await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))
                return
        self.refused += 1
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while block := await reader.read(1 << 16):
            writer.write(block)
            await writer.drain()
    writer.close()


@dataclass(frozen=True, slots=True)
class Takeover:
    """A connection whose owner was killed, and after how many seconds it had another one."""

    connection: str
    seconds: float


@dataclass(slots=True)
class Watch:
    """Who owns what, looked at all the time."""

    db: asyncpg.Connection
    clock: FastClock
    owners: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Connection → (epoch, number of the owner's process)."""
    orphans: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Connection → (epoch, when its owner was killed)."""
    takeovers: list[Takeover] = field(default_factory=list)
    sessions: int = 0
    """The most sessions that all replicas together had."""
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK)

    async def look(self) -> None:
        """One look; one at a time."""
        async with self.looking:
            await self._look()

    async def _look(self) -> None:
        if not await self.db.fetchval("select to_regclass('connector.lease') is not null"):
            return
        rows = await self.db.fetch(
            """select connection, epoch, split_part(owner, ':', 2)::int as pid, expires_at > $1 as held,
                      (select count(*) from pg_stat_activity
                       where datname = current_database() and application_name = 'connector') as sessions
               from connector.lease""",
            self.clock.now(),
        )
        for row in rows:
            self.sessions = max(self.sessions, row["sessions"])
            self.owners[row["connection"]] = (row["epoch"], row["pid"] if row["held"] else 0)
            self._settle(row["connection"], row["epoch"])

    def _settle(self, connection: str, epoch: int) -> None:
        before, killed_at = self.orphans.get(connection, (epoch, 0.0))
        if epoch > before:
            del self.orphans[connection]
            self.takeovers.append(Takeover(connection, self.clock.monotonic() - killed_at))

    def killed(self, pid: int) -> None:
        """What this process owned has no owner from now on."""
        now = self.clock.monotonic()
        self.orphans |= {name: (epoch, now) for name, (epoch, owner) in self.owners.items() if owner == pid}

    def shares(self) -> Mapping[int, int]:
        """Process → how many connections it owns."""
        return Counter(pid for _, pid in self.owners.values() if pid)


@dataclass(slots=True)
class Fleet:
    """All replicas."""

    replicas: Sequence[Replica]
    watch: Watch
    balancer: Balancer

    async def until_owned(self, count: int, seconds: float) -> None:
        """Returns when so many connections have a living owner."""
        deadline = time.monotonic() + seconds
        while not await self._owned(count):
            assert time.monotonic() < deadline, "\n".join(r.process.tail() for r in self.replicas)
            await asyncio.sleep(LOOK)

    async def _owned(self, count: int) -> bool:
        assert not any(r.process.ended for r in self.replicas), "\n".join(r.process.tail() for r in self.replicas)
        await self.watch.look()
        alive = {r.process.pid for r in self.replicas}
        return sum(pid in alive for _, pid in self.watch.owners.values()) == count

    async def in_doubt_twice(self) -> bool:
        """True when a record was written again before it was known what became of its last write."""
        async with self.watch.looking:
            found = await self.watch.db.fetch(
                "select link_id from connector.intent group by link_id having count(*) > 1"
            )
        return bool(found)

    async def kill(self, replica: Replica) -> None:
        """Kill -9, and another incarnation."""
        await self.watch.look()
        self.watch.killed(replica.process.pid)
        await replica.process.kill()
        await replica.process.start()


@asynccontextmanager
async def fleet(
    dsn: str, root: Path, tenants: Sequence[Tenant], count: int, *, clock: FastClock, fast: bool
) -> AsyncIterator[Fleet]:
    """So many replicas, started; each of them has all the sets. `fast`: they go by `clock`."""
    replicas = [Replica(Process((), {}, root / f"replica{n}.log"), free_port()) for n in range(count)]
    balancer = Balancer(replicas, Random(count))
    server = await asyncio.start_server(balancer.serve, "127.0.0.1", 0)
    public = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    directories = [str(tenant.directory) for tenant in tenants]
    for replica in replicas:
        listen = f"127.0.0.1:{replica.port}"
        replica.process.variables = {**_variables(dsn, listen, public), **_accounts(tenants)}
        replica.process.command = (
            ["tests.kill.daemon", *clock.words(), *directories] if fast else ["connector", "run", *directories]
        )
    db = await asyncpg.connect(dsn)
    made = Fleet(replicas, Watch(db, clock), balancer)
    try:
        for replica in replicas:
            await replica.process.start()
        yield made
    finally:
        for replica in replicas:
            await replica.process.kill()
        server.close()
        await db.close()


def _variables(dsn: str, listen: str, public: str) -> Mapping[str, str]:
    return {
        "DATABASE_URL": dsn,
        "CONNECTOR_SECRET_KEY": "key",
        "CONNECTOR_LISTEN": listen,
        "CONNECTOR_PUBLIC_URL": public,
        "CONNECTOR_LOG": "json",
        "CONNECTOR_LOG_LEVEL": "warning",
    }


def _accounts(tenants: Sequence[Tenant]) -> Mapping[str, str]:
    return {name: value for tenant in tenants for name, value in tenant.variables.items()}
