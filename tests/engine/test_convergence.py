"""Convergence: after quiet both sides agree, nothing is double, and one more pass writes nothing.

Each example is a seed: edits on both sides, deaths of the daemon between two effects, faults of the API and of webhooks.
``CONVERGENCE_SEED=N`` replays one example, ``CONVERGENCE_FIRST=M CONVERGENCE_EXAMPLES=N`` run N of them from M on, and
`make convergence HOURS=8` runs as many as fit. A failure prints the seed and everything that was done.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
import structlog

from connector.app.daemon import Options
from connector.app.sets import Account, load_directory
from connector.obs.logs import configure
from connector.service.server import Address
from connector.store import brakes, report
from tests.engine.business import FILES, MAPPINGS, TABLES, Business
from tests.engine.mortal import Life, MortalDaemon
from tests.engine.rig import RequestFailedError, Rig, rig
from tests.ports import free_port

SPEED = 60.0
CUT = """select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name = 'connector'"""
STEPS = 40
PATIENCE = 30.0
TRIES = 30
FAULTS = (
    {"kind": "status", "code": 500},
    {"kind": "status", "code": 429},
    {"kind": "status", "code": 503, "body": "html"},
    {"kind": "timeout_before"},
    {"kind": "timeout_after"},
    {"kind": "applied_late", "seconds": 0.6},
    {"kind": "disconnect_before"},
    {"kind": "disconnect_after"},
)
CALM = {"duplicate": 0.0, "drop": 0.0, "delay": 0.0, "reorder": 0.0, "before_response": False, "scale": 0.01}


def seeds() -> Iterator[int]:
    """The examples to run: one that is named, or so many from the first."""
    given = os.environ.get("CONVERGENCE_SEED")
    first = int(given or os.environ.get("CONVERGENCE_FIRST", "1"))
    yield from range(first, first + (1 if given else int(os.environ.get("CONVERGENCE_EXAMPLES", "5"))))


@dataclass(slots=True)
class Drama:
    """One example: a world, people, and what goes wrong."""

    world: Rig
    people: Business
    chance: Random
    port: int = field(default_factory=free_port)
    life: Life = field(default_factory=Life)
    daemon: MortalDaemon | None = None
    task: asyncio.Task[None] | None = None

    async def play(self, steps: int) -> None:
        """Does everything at random."""
        for _ in range(steps):
            await self._step()
            await asyncio.sleep(self.chance.choice([0, 0, 0.01, 0.05, 0.2]))

    async def _step(self) -> None:
        name = self.chance.choices(list(TURNS), list(TURNS.values()))[0]
        if name != "edit":
            self.people.trace.append(name)
        await getattr(self, f"_{name}")()

    # --- what happens ------------------------------------------------------------------------------------------------

    async def _edit(self) -> None:
        for _ in range(self.chance.randint(1, 4)):
            await self.people.edit()

    async def _fault(self) -> None:
        rule = {**self.chance.choice(FAULTS), "count": self.chance.randint(1, 4)}
        rule |= {"method": self.chance.choice([".*", "GET", "POST|PATCH|DELETE"]), "path": "/api/"}
        self.people.trace[-1] += f" {rule}"
        await self.world.control("POST", "faults", rule)

    async def _weather(self) -> None:
        policy = {
            "duplicate": self.chance.choice([0, 0.5]),
            "drop": self.chance.choice([0, 0.3, 1.0]),
            "delay": self.chance.choice([0, 0.1]),
            "reorder": self.chance.choice([0, 0.3]),
            "before_response": self.chance.choice([True, False]),
        }
        self.people.trace[-1] += f" {policy}"
        await self.world.control("POST", "webhooks", policy)

    async def _doom(self) -> None:
        """The daemon dies some effects from now."""
        self.life.left = self.chance.randint(1, 40)
        self.people.trace[-1] += f" in {self.life.left}"

    async def _bury(self) -> None:
        """If the daemon is dead, or dies now, another one starts."""
        self.life.end()
        await self.stop()
        await self.start(self.chance.choice([None, None, self.chance.randint(1, 150)]))

    async def _sweep(self) -> None:
        kind = self.chance.choice(["recent", "full"])
        await self.world.db.execute(
            "update connector.sweep set due_at = $2 where kind = $1", kind, self.world.clock.now()
        )

    # --- the daemon --------------------------------------------------------------------------------------------------

    async def start(self, left: int | None = None) -> None:
        """Starts an incarnation."""
        url = f"http://127.0.0.1:{self.port}"
        address = Address("127.0.0.1", self.port)
        options = Options(self.world.dsn, address, address, "key", public_url=url)
        account = Account(self.world.sandbox.url, self.world.sandbox.token)
        self.life = Life(left)
        self.daemon = MortalDaemon(options, [(load_directory(self.world.directory), account)], self.world.clock)
        self.daemon.life = self.life
        self.task = asyncio.create_task(self.daemon.run(), name="daemon")

    async def stop(self) -> None:
        """Buries the dead; of the living nothing is left either."""
        self.life.end()
        if self.daemon is not None and self.task is not None:
            await self.daemon.cut()
            await self.world.db.execute(CUT)
            self.daemon.stop()
            await asyncio.wait({self.task}, timeout=PATIENCE)
            assert self.task.done(), f"a dead daemon does not end: {_stacks()}"
            if not self.task.cancelled():
                self.task.exception()
        self.daemon = self.task = None

    # --- after quiet -------------------------------------------------------------------------------------------------

    async def calm(self) -> None:
        """No fault, no webhook trouble, a daemon that lives."""
        await self.world.control("DELETE", "faults")
        await self.world.control("POST", "webhooks", CALM)
        await self.stop()
        await self.start()
        await self.world.until(self._subscribed, PATIENCE)

    async def _subscribed(self) -> bool:
        """The webhook subscription is as it shall be: keeping it so is no part of one more pass."""
        context = self.daemon.running["test"].context if self.daemon and self.daemon.running else None
        return context is not None and context.pushed

    async def quiet(self) -> None:
        """Sweeps until nothing is left to do."""
        for kind in ("recent", "full"):
            await self.ask("sweep", {"kind": kind})
        await self.world.until(self._nothing_left, PATIENCE)

    async def ask(self, kind: str, args: Mapping[str, Any]) -> None:
        """Asks until it is done: a request may fail by a fault of the API, but not always."""
        for _ in range(TRIES):
            assert self.task is not None
            if self.task.done():
                self.task.result()
            try:
                await self.world.ask(kind, args)
            except RequestFailedError as error:
                self.people.trace.append(f"{kind} failed: {error}")
                await self.world.clock.sleep(1.0)
            else:
                return
        raise AssertionError(f"{kind} failed {TRIES} times: {await self.world.trouble()}")

    async def _nothing_left(self) -> bool:
        left = await report.unfinished(self.world.db, report.Now("test", self.world.clock.now()))  # type: ignore[arg-type]
        return not any(left.values())

    async def check(self) -> None:
        """The law."""
        people = await report.needs_person(self.world.db, report.Now("test", self.world.clock.now()))  # type: ignore[arg-type]
        assert not any(n for name, n in people.items() if name != "held"), f"{people}: {await self.world.trouble()}"
        assert not (held := await self._held()), f"held: {held}"
        differences = await self.people.differences()
        assert not differences, "\n".join(differences)
        before = await self._versions()
        await self.world.control("DELETE", "stats")
        await self.quiet()
        stats = await self.world.control("GET", "stats")
        writes = {name: n for name, n in stats["requests"].items() if not name.startswith("GET")}
        assert not writes, f"one more pass writes to the CRM: {writes}"
        assert before == await self._versions(), "one more pass writes rows"

    async def _held(self) -> list[dict[str, Any]]:
        """Values that are held for another reason than that what they point to was deleted."""
        rows = await self.world.db.fetch(
            """select id, mapping, app_key, crm_id, state, held from connector.link
               where exists (select 1 from jsonb_each_text(held) h where h.key not in ('org_id', 'person_id', 'deal_id'))"""
        )
        return [dict(row) for row in rows]

    async def _versions(self) -> list[Any]:
        tables = ("companies", "contacts", "deals", "calls")
        return [await self.world.db.fetch(f"select id, xmin::text from app.{name} order by id") for name in tables]


TURNS = {"edit": 10, "fault": 3, "weather": 1, "doom": 2, "bury": 2, "sweep": 1}


def _stacks() -> str:
    """Where every task of the process waits."""
    return "\n".join(f"{task.get_name()}: {task.get_stack(limit=1)}" for task in asyncio.all_tasks())


async def play(database: str, directory: Path, seed: int) -> None:
    """One example from beginning to end."""
    chance = Random(seed)
    async with rig(database, directory, FILES, TABLES, speed=SPEED, seed=seed) as world:
        people = Business(world.db, world.sandbox, Random(seed))
        drama = Drama(world, people, chance)
        try:
            await _prepare(drama)
            await drama.play(STEPS)
            people.trace.append("calm")
            await drama.calm()
            await drama.quiet()
            await drama.check()
        except BaseException as error:
            error.add_note(f"CONVERGENCE_SEED={seed}\n" + "\n".join(people.trace))
            if os.environ.get("CONVERGENCE_LOG"):
                error.add_note("\n".join(await world.history()))
            raise
        finally:
            await drama.stop()


async def _prepare(drama: Drama) -> None:
    """Some records, a daemon that knows them all, and a brake that lets the few records of this test pass."""
    await drama.world.control("POST", "webhooks", CALM)
    for _ in range(6):
        await drama.people.edit()
    await drama.start()
    await drama.world.until(lambda: drama.world.db.fetchval("select to_regclass('connector.brake_count')"))
    for mapping in MAPPINGS:
        for side in ("app", "crm"):
            await brakes.allow(drama.world.db, "test", mapping, side, 10**6)  # type: ignore[arg-type]
    await drama.ask("fetch_all", {})


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Thousands of lines about deaths would hide the one that matters; ``CONVERGENCE_LOG=1`` shows them."""
    if os.environ.get("CONVERGENCE_LOG"):
        configure("json", "debug")
        yield
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("seed", [pytest.param(seed, id=str(seed)) for seed in seeds()])
async def test_after_quiet_both_sides_agree(database: str, tmp_path: Path, seed: int) -> None:
    """Both sides agree field by field, nothing is double, one more pass writes nothing."""
    await play(database, tmp_path / "set", seed)
