"""`python -m tests.soak MINUTES`: steady mixed load with faults, an open transaction in the middle third; writes REPORT.md.

The transaction is one that somebody forgot: it keeps every row that was deleted since, in all tables.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from connector.postgres.cluster import EmbeddedCluster
from tests.engine.rig import FastClock
from tests.kill.process import Process
from tests.replicas.estate import Tenant, estate
from tests.replicas.fleet import Fleet, fleet
from tests.soak.sample import Sample, markdown, report, take

REPORT = Path(__file__).parent / "REPORT.md"
RATE = 3.0
"""Edits by people per second: about half of what the account's burst window lets through."""
WARM = 60.0
SHARE = 0.02
FAULTS: tuple[Mapping[str, object], ...] = (
    {"kind": "status", "code": 500},
    {"kind": "status", "code": 429},
    {"kind": "status", "code": 503, "body": "html"},
    {"kind": "disconnect_before"},
    {"kind": "disconnect_after"},
    {"kind": "timeout_after"},
)


@dataclass(slots=True)
class Soak:
    """A run. Each third is `third` seconds long."""

    tenant: Tenant
    replicas: Fleet
    dsn: str
    third: float
    began: float = field(default_factory=time.monotonic)
    samples: dict[str, Sample] = field(default_factory=dict)

    async def run(self) -> None:
        """The whole run; the samples are taken at its turns."""
        editing = asyncio.create_task(self._edit())
        try:
            await asyncio.sleep(min(WARM, self.third / 2))
            await self._sample("start")
            await self._until(self.third)
            await self._sample("before the transaction")
            async with forgotten(self.dsn):
                await self._until(2 * self.third)
                await self._sample("at its end")
            await self._until(3 * self.third)
            await self._sample("end")
        finally:
            editing.cancel()
            await asyncio.gather(editing, return_exceptions=True)

    async def _until(self, second: float) -> None:
        await asyncio.sleep(max(self.began + second - time.monotonic(), 0.0))

    async def _edit(self) -> None:
        due = time.monotonic()
        while True:
            await self.tenant.people.edit()
            due = max(due + 1 / RATE, time.monotonic() - 1.0)
            await asyncio.sleep(max(due - time.monotonic(), 0.0))

    async def _sample(self, name: str) -> None:
        (replica,) = self.replicas.replicas
        url, edits = f"http://127.0.0.1:{replica.port}", len(self.tenant.people.trace)
        at = time.monotonic() - self.began
        self.samples[name] = await take(self.replicas.watch.db, url, replica.process.pid, at=at, edits=edits)


@asynccontextmanager
async def forgotten(dsn: str) -> AsyncIterator[None]:
    """A transaction that somebody left open."""
    session = await asyncpg.connect(dsn)
    try:
        async with session.transaction(isolation="repeatable_read"):
            await session.fetchval("select count(*) from pg_class")
            yield
    finally:
        await session.close()


async def soak(minutes: float, say: Callable[[str], None]) -> int:
    """Runs and reports; 0 when nothing was lost."""
    clock = FastClock(1.0)
    with (
        tempfile.TemporaryDirectory(prefix="connector-soak-") as folder,
        EmbeddedCluster(Path(folder) / "pg") as cluster,
    ):
        root, dsn = Path(folder), cluster.dsn
        async with (
            estate(dsn, root / "sets", 1, clock, 1) as (tenant,),
            fleet(dsn, root, [tenant], 1, clock=clock, fast=False) as replicas,
        ):
            await replicas.until_owned(1, 60.0)
            await tenant.begin(clock)
            for fault in FAULTS:
                rule = {**fault, "probability": SHARE / len(FAULTS), "path": "/api/"}
                await tenant.control("POST", "faults", rule)
            run = Soak(tenant, replicas, dsn, minutes * 20)
            await run.run()
            faults = sum(rule.hits for rule in tenant.sandbox.faults.rules)
            left, differences = await _end(tenant, replicas.replicas[0].process, clock)
            text = _text(minutes, run, f"{faults} faulty answers; `connector wait` ended with {left}; {differences}")
    REPORT.write_text(text, encoding="utf-8")
    say(text)
    return left


async def _end(tenant: Tenant, daemon: Process, clock: FastClock) -> tuple[int, str]:
    await tenant.control("DELETE", "faults")
    await tenant.ask("sweep", {"kind": "full"}, clock)
    waiting = Process(["connector", "wait", "--timeout", "300"], daemon.variables, daemon.log)
    await waiting.start()
    assert waiting.running is not None
    left = await waiting.running.wait()
    found = await tenant.people.differences()
    return left, f"{len(found)} differences between both sides" + "".join(f"\n- {line}" for line in found[:10])


def _text(minutes: float, run: Soak, outcome: str) -> str:
    edits = run.samples["end"].edits
    return f"""# Soak

Written by `make soak MINUTES={minutes:g}` ({os.cpu_count()} cores): {edits:,} edits by people on both sides,
{RATE:g} a second at most, {outcome}.
In the middle third a transaction was left open, which keeps every deleted row of that time in its table.

{markdown(report(run.samples))}

Flat is what matters: memory, tasks, files and sessions stay; `change`, `event`, `work` and `intent` come back to their size
of before once the transaction is gone and the rows are vacuumed (PostgreSQL keeps the space for reuse); `link` and
`match_key` grow with the records, `journal` with the changes.
"""


if __name__ == "__main__":
    sys.exit(asyncio.run(soak(float(sys.argv[1]), print)))
