"""kill -9 at random moments, while both sides are edited and the API fails: nothing is lost and nothing is double.

The short run has time that runs faster. ``KILL_FULL=1`` (`make kill`) runs `connector run` itself: 50 kills, 2,000 changes,
5 % of the API's answers faulty, and ends with `connector wait`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import asyncpg

from connector.store import brakes, report
from tests.engine.business import FILES, MAPPINGS, TABLES, Business
from tests.engine.rig import CONNECTION, Rig, rig
from tests.kill.process import Process
from tests.ports import free_port

SHARE = 0.05
FAULTS: Sequence[Mapping[str, object]] = (
    {"kind": "status", "code": 500},
    {"kind": "status", "code": 429},
    {"kind": "status", "code": 503, "body": "html"},
    {"kind": "timeout_before"},
    {"kind": "timeout_after"},
    {"kind": "applied_late", "seconds": 3.0},
    {"kind": "disconnect_before"},
    {"kind": "disconnect_after"},
)
HANGING = ("timeout_before", "timeout_after", "applied_late")
VARIABLES = "url: env:PIPEDRIVE_URL\ncredentials: {api_token: env:PIPEDRIVE_API_TOKEN}"


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything; `speed` None is `connector run` on the machine's own clock."""

    kills: int
    changes: int
    pause: float
    life: float
    speed: float | None = None
    patience: float = 60.0
    hanging: bool = True


SHORT = Size(kills=8, changes=300, pause=0.07, life=0.8, speed=12.0, hanging=False)
FULL = Size(kills=50, changes=2000, pause=0.24, life=2.5, patience=600.0)


@dataclass(slots=True)
class Victim:
    """The daemon's process, one incarnation after the other."""

    world: Rig
    size: Size
    process: Process
    epoch: int = 0

    async def start(self) -> None:
        """Another incarnation."""
        await self.process.start()

    async def kill(self) -> None:
        """Ends the process at once."""
        await self.process.kill()

    async def works(self) -> None:
        """Returns when this incarnation owns the connection."""

        async def owned() -> bool:
            assert not self.process.ended, self.process.tail()
            if not await self.world.db.fetchval("select to_regclass('connector.lease')"):
                return False
            epoch = await self.world.db.fetchval("select epoch from connector.lease where connection = 'test'")
            fresh, self.epoch = (epoch or 0) > self.epoch, max(epoch or 0, self.epoch)
            return fresh

        await self.world.until(owned, self.size.patience)


async def test_killed_at_random_moments(database: str, tmp_path: Path) -> None:
    """At the end nothing is left to do, both sides agree field by field, and no record exists twice on either side."""
    size, seed = (FULL if os.environ.get("KILL_FULL") else SHORT), int(os.environ.get("KILL_SEED", "1"))
    connection = CONNECTION.replace("url: http://set.by.the.rig\ncredentials: {api_token: env:UNUSED}", VARIABLES)
    directory, began = tmp_path / "set", time.monotonic()
    async with rig(database, directory, FILES, TABLES, connection=connection, speed=size.speed or 1.0) as world:
        victim = Victim(world, size, _process(world, size, tmp_path / "daemon.log"))
        session = await asyncpg.connect(database, server_settings={"search_path": "app"})
        people = Business(session, world.sandbox, Random(seed))
        try:
            await _begin(world, victim)
            await asyncio.gather(_edit(people, size), _kill(victim, Random(seed)))
            faults = sum(rule.hits for rule in world.sandbox.faults.rules)
            changed = time.monotonic() - began
            await world.control("DELETE", "faults")
            await world.ask("sweep", {"kind": "full"})
            await _wait(world, victim)
            differences = await people.differences()
            person = await report.needs_person(world.db, report.Now("test", world.clock.now()))  # type: ignore[arg-type]
            doubles, took = len(await people.doubles()), time.monotonic() - began
            _tell(
                size,
                f"{faults} faults, {changed:.0f} + {took - changed:.0f} s, {doubles} doubles, left: {dict(person)}",
            )
            assert not differences, "\n".join([*differences, await world.trouble(), *await world.history()])
        except BaseException as error:
            error.add_note(f"KILL_SEED={seed}\n{victim.process.tail()}")
            raise
        finally:
            await victim.kill()
            await session.close()


def _process(world: Rig, size: Size, log: Path) -> Process:
    """`connector run`, or the same by the run's own clock."""
    listen, clock = f"127.0.0.1:{free_port()}", world.clock
    variables = {
        "DATABASE_URL": world.dsn,
        "CONNECTOR_SECRET_KEY": "key",
        "CONNECTOR_LISTEN": listen,
        "CONNECTOR_PUBLIC_URL": f"http://{listen}",
        "CONNECTOR_LOG": "json",
        "CONNECTOR_LOG_LEVEL": "warning",
        "PIPEDRIVE_URL": world.sandbox.url,
        "PIPEDRIVE_API_TOKEN": world.sandbox.token,
    }
    command = ["connector", "run"] if size.speed is None else ["tests.kill.daemon", *clock.words()]
    return Process([*command, str(world.directory)], variables, log)


async def _begin(world: Rig, victim: Victim) -> None:
    await world.control("POST", "webhooks", {"scale": 0.05})
    await victim.start()
    await victim.works()
    await world.until(lambda: world.db.fetchval("select count(*) = 4 from connector.mapping"))
    for mapping in MAPPINGS:
        for side in ("app", "crm"):
            await brakes.allow(world.db, "test", mapping, side, 10**6)  # type: ignore[arg-type]
    await world.ask("fetch_all", {})
    kinds = [fault for fault in FAULTS if victim.size.hanging or fault["kind"] not in HANGING]
    for fault in kinds:
        rule = {**fault, "probability": SHARE / len(kinds), "path": "/api/"}
        await world.control("POST", "faults", rule)


async def _edit(people: Business, size: Size) -> None:
    for _ in range(size.changes):
        await people.edit()
        await asyncio.sleep(people.chance.random() * 2 * size.pause)


async def _kill(victim: Victim, chance: Random) -> None:
    for _ in range(victim.size.kills):
        await asyncio.sleep(chance.random() * victim.size.life)
        await victim.kill()
        doubt = await victim.world.db.fetch("select link_id from connector.intent group by link_id having count(*) > 1")
        assert not doubt, "a second write was sent before it was on record what became of the first"
        await victim.start()
        await victim.works()


async def _wait(world: Rig, victim: Victim) -> None:
    """`connector wait`, or the same by the run's own clock."""
    if victim.size.speed is not None:
        await world.quiet()
        return
    waiting = Process(["connector", "wait", "--timeout", "300"], victim.process.variables, victim.process.log)
    await waiting.start()
    assert waiting.running is not None
    assert await waiting.running.wait() == 0, waiting.tail()


def _tell(size: Size, figures: str) -> None:
    sys.stdout.write(f"\n{size.kills} kills, {size.changes} changes, {figures}\n")
