"""kill -9 of random replicas while all connections are edited on both sides: nothing is lost and nothing is double.

The short run has time that runs faster. ``REPLICAS_FULL=1`` (`make replicas`) runs `connector run` itself: three replicas,
20 connections, 50 kills, 10,000 changes, and ends with `connector wait`; it prints its figures.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from connector.store import report
from tests.engine.rig import FastClock
from tests.kill.process import Process
from tests.replicas.estate import Tenant, estate
from tests.replicas.figures import Spent, table
from tests.replicas.fleet import Fleet, fleet

SHARE = 0.02
FAULTS: Sequence[Mapping[str, object]] = (
    {"kind": "status", "code": 500},
    {"kind": "status", "code": 429},
    {"kind": "disconnect_before"},
    {"kind": "disconnect_after"},
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything; `speed` None is `connector run` on the machine's own clock."""

    replicas: int
    connections: int
    kills: int
    changes: int
    pause: float
    life: float
    idle: float
    speed: float | None = None
    patience: float = 60.0
    worst: float = float("inf")
    """Seconds within which a connection whose owner was killed has another one."""


SHORT = Size(replicas=2, connections=3, kills=4, changes=150, pause=0.1, life=1.5, idle=0.0, speed=12.0)
FULL = Size(
    replicas=3, connections=20, kills=50, changes=10_000, pause=0.9, life=16.0, idle=20.0, patience=180.0, worst=10.0
)


async def test_killed_replicas(database: str, tmp_path: Path) -> None:
    """At the end nothing is left to do, both sides of every connection agree, and no record exists twice on either side.

    A killed owner was replaced within ten seconds each time. Fails when a fence is missing, when an unknown outcome is
    not resolved before the next write, or when nobody takes over.
    """
    size = FULL if os.environ.get("REPLICAS_FULL") else SHORT
    seed, began = int(os.environ.get("REPLICAS_SEED", "1")), time.monotonic()
    clock = FastClock(size.speed or 1.0)
    async with (
        estate(database, tmp_path / "sets", size.connections, clock, seed) as tenants,
        fleet(database, tmp_path, tenants, size.replicas, clock=clock, fast=size.speed is not None) as replicas,
    ):
        try:
            await replicas.until_owned(size.connections, size.patience)
            await asyncio.gather(*(tenant.begin(clock) for tenant in tenants))
            idle = await _idle(replicas, size)
            await _faults(tenants)
            watching = asyncio.create_task(replicas.watch.run())
            await asyncio.gather(*(_edit(tenant, size) for tenant in tenants), _kill(replicas, Random(seed), size))
            faults = sum(rule.hits for tenant in tenants for rule in tenant.sandbox.faults.rules)
            await replicas.until_owned(size.connections, size.patience)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            changed = time.monotonic() - began
            left = await _wait(replicas, tenants, clock, size)
            lost = [line for tenant in tenants for line in await tenant.people.differences()]
            doubles = [line for tenant in tenants for line in await tenant.people.doubles()]
            took = sorted(takeover.seconds for takeover in replicas.watch.takeovers)
            pace = "" if size.speed is None else f" of a clock that runs {size.speed:g} times as fast"
            rows = [
                ("replicas, connections", f"{size.replicas}, {size.connections}"),
                ("kills", size.kills),
                ("changes", sum(len(tenant.people.trace) for tenant in tenants)),
                ("faulty answers", faults),
                ("takeovers", len(took)),
                ("takeover, median", f"{statistics.median(took):.1f} s{pace}"),
                ("takeover, worst", f"{took[-1]:.1f} s{pace}"),
                ("doubles", len(doubles)),
                ("lost or different", len(lost) - len(doubles)),
                ("needs a person", left),
                ("sessions of all replicas", replicas.watch.sessions),
                ("owned by each at the end", sorted(replicas.watch.shares().values())),
                ("wall time", f"{changed:.0f} + {time.monotonic() - began - changed:.0f} s"),
                *idle,
            ]
            sys.stdout.write(f"\n{table(rows)}\n")
            assert not lost, "\n".join(lost)
            assert not replicas.watch.orphans
            assert took[-1] <= size.worst
        except BaseException as error:
            error.add_note("\n".join(f"REPLICAS_SEED={seed}\n{r.process.tail()}" for r in replicas.replicas))
            raise


async def _idle(replicas: Fleet, size: Size) -> list[tuple[str, object]]:
    """What doing nothing costs."""
    if not size.idle:
        return []
    pids = [replica.process.pid for replica in replicas.replicas]
    before = await Spent.now(replicas.watch.db, pids)
    await asyncio.sleep(size.idle)
    shares, transactions = (await Spent.now(replicas.watch.db, pids)).since(before)
    return [
        ("idle: CPU of each replica", ", ".join(f"{share:.0f} %" for share in shares)),
        ("idle: questions to the database", f"{transactions / size.connections:.0f}/s for each connection"),
    ]


async def _faults(tenants: Sequence[Tenant]) -> None:
    for tenant in tenants:
        for fault in FAULTS:
            rule = {**fault, "probability": SHARE / len(FAULTS), "path": "/api/"}
            await tenant.control("POST", "faults", rule)


async def _edit(tenant: Tenant, size: Size) -> None:
    for _ in range(size.changes // size.connections):
        await tenant.people.edit()
        await asyncio.sleep(tenant.people.chance.random() * 2 * size.pause)


async def _kill(replicas: Fleet, chance: Random, size: Size) -> None:
    """A random replica each time; the next one when everything has an owner again."""
    for _ in range(size.kills):
        await asyncio.sleep(chance.random() * size.life)
        await replicas.kill(chance.choice(replicas.replicas))
        assert not await replicas.in_doubt_twice(), (
            "a second write was sent before it was on record what became of the first"
        )
        await replicas.until_owned(size.connections, size.patience)


async def _wait(replicas: Fleet, tenants: Sequence[Tenant], clock: FastClock, size: Size) -> int:
    """`connector wait`, or the same by the run's own clock; how many records need a person."""
    for tenant in tenants:
        await tenant.control("DELETE", "faults")
    await asyncio.gather(*(tenant.ask("sweep", {"kind": "full"}, clock) for tenant in tenants))
    if size.speed is None:
        first = replicas.replicas[0].process
        waiting = Process(["connector", "wait", "--timeout", "600"], first.variables, first.log)
        await waiting.start()
        assert waiting.running is not None
        assert await waiting.running.wait() == 0, waiting.tail()
    else:
        await asyncio.gather(*(tenant.quiet(clock, size.patience) for tenant in tenants))
    person = [await report.needs_person(tenant.db, report.Now(tenant.name, clock.now())) for tenant in tenants]  # type: ignore[arg-type]
    return sum(sum(each.values()) for each in person)
