"""A story: what happens on a stage, drawn from a seed. Each step draws from its own dice, so that any may be left out."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import asyncpg

from connector.sandbox.faults import Rule
from connector.store import brakes, connections, report
from tests.engine.business import MAPPINGS, Business
from tests.simulation.stage import Stage, stage

STEPS = 30
PATIENCE = 7200.0
"""Simulated seconds after which a story that is not quiet counts as hanging."""
CALM = {"duplicate": 0.0, "drop": 0.0, "delay": 0.0, "reorder": 0.0, "before_response": False, "scale": 1.0}
FAULTS = (
    {"kind": "status", "code": 500},
    {"kind": "status", "code": 429},
    {"kind": "status", "code": 503, "body": "html"},
    {"kind": "status", "code": 401},
    {"kind": "html_403"},
    {"kind": "timeout_before"},
    {"kind": "timeout_after"},
    {"kind": "applied_late", "seconds": 45},
    {"kind": "disconnect_before"},
    {"kind": "disconnect_after"},
    {"kind": "slow", "seconds": 5},
    {"kind": "slow_after", "seconds": 5},
    {"kind": "stale", "method": "GET"},
)
GAPS = (0.0, 0.0, 0.005, 0.05, 0.3, 1.0, 5.0, 40.0)

SKEWS = (0.0, 0.0, 0.0, -90.0, -2.5, 1.5, 75.0)
"""Seconds that the daemon's and the database's clocks may be ahead of the CRM's."""


class BrokenLawError(AssertionError):
    """What must hold after every story does not."""


@dataclass(frozen=True, slots=True)
class Told:
    """A story that ended well: its trace, and how often what happened."""

    trace: Sequence[str]
    counts: Mapping[str, int]
    digest: str
    """Of everything in the journal, and of the time at the end: equal for equal stories."""


@dataclass(slots=True)
class Story:
    """One story on its stage."""

    stage: Stage
    people: Business
    seed: int
    trace: list[str] = field(default_factory=list)
    faults: list[Rule] = field(default_factory=list)
    open: list[asyncio.Task[None]] = field(default_factory=list)
    """Transactions of the application that are still to end."""
    riddles: int = 0

    def note(self, text: str) -> None:
        """Remembers what happened, and when."""
        self.trace.append(f"{asyncio.get_running_loop().time():9.3f}  {text}")

    async def play(self, steps: Sequence[int]) -> None:
        """Does what the steps say."""
        for number in steps:
            dice = Random(f"{self.seed}/{number}")
            await self.stage.pass_time(dice.choice(GAPS))
            name = dice.choices(list(STEP_KINDS), [weight for weight, _ in STEP_KINDS.values()])[0]
            self.note(f"step {number}: {name}")
            await STEP_KINDS[name][1](self, dice)

    # --- people ------------------------------------------------------------------------------------------------------

    async def edit(self, dice: Random) -> None:
        """People on either side."""
        self.people.chance = dice
        for _ in range(dice.randint(1, 4)):
            await self.stage.tell_time()
            with contextlib.suppress(asyncpg.LockNotAvailableError):
                await self.people.edit()
            self.note(f"  {self.people.trace[-1]}")

    # --- what goes wrong ---------------------------------------------------------------------------------------------

    async def fault(self, dice: Random) -> None:
        """The API misbehaves for some calls."""
        rule = {"method": dice.choice([".*", "GET", "POST|PATCH|DELETE"]), **dice.choice(FAULTS)}
        rule |= {"count": dice.randint(1, 4), "path": "/api/"}
        self.note(f"  {rule}")
        self.control("POST", "faults", rule)
        self.faults.append(self.stage.sandbox.faults.rules[-1])

    async def weather(self, dice: Random) -> None:
        """Webhooks get lost, late or double."""
        policy = {
            "duplicate": dice.choice([0, 0.5]),
            "drop": dice.choice([0, 0.3, 1.0]),
            "delay": dice.choice([0, 0.1, 20.0]),
            "reorder": dice.choice([0, 0.3, 10.0]),
            "before_response": dice.choice([True, False]),
        }
        self.note(f"  {policy}")
        self.control("POST", "webhooks", policy)

    async def doom(self, dice: Random) -> None:
        """The owner dies some effects from now."""
        for process in self.stage.processes.values():
            process.life.left = dice.randint(1, 60)
            self.note(f"  {process.life.name} in {process.life.left}")

    async def bury(self, dice: Random) -> None:
        """Whoever is dead, or dies now, is followed by another."""
        await self.stage.kill("a")
        self.stage.start("a", left=dice.choice([None, None, dice.randint(1, 200)]))

    async def relief(self, dice: Random) -> None:
        """A second process waits for its turn, or takes over from the first."""
        name = dice.choice("ab")
        if name in self.stage.processes:
            await self.stage.kill(name)
        else:
            self.stage.start(name)

    async def interrupt(self, _: Random) -> None:
        """The database drops everybody."""
        await self.stage.interrupt()

    async def slow_edit(self, dice: Random) -> None:
        """Somebody's transaction stays open for a while."""
        key = await self.people.key("contacts")
        word, seconds = self.people.word(), dice.choice([0.05, 1.0, 20.0])
        self.open.append(asyncio.create_task(self._slowly(key, word, seconds)))

    async def _slowly(self, key: int | None, word: str | None, seconds: float) -> None:
        with contextlib.suppress(asyncpg.LockNotAvailableError):
            async with self.stage.session() as db, db.transaction():
                await db.execute("update app.contacts set first = $2 where id = $1", key, word)
                await asyncio.sleep(seconds)

    async def sweep(self, dice: Random) -> None:
        """A sweep is asked for."""
        kind = dice.choice(["recent", "full"])
        await self.stage.db.execute("update connector.sweep set due_at = $2 where kind = $1", kind, self.now())

    # --- the calm ----------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Some records, clocks that are wrong by some seconds, and a daemon that knows them all."""
        dice = Random(f"{self.seed}/clocks")
        self.stage.skew, self.stage.app_skew = dice.choice(SKEWS), dice.choice(SKEWS)
        await self.stage.tell_time()
        self.control("POST", "webhooks", CALM)
        for number in range(6):
            self.people.chance = Random(f"{self.seed}/before/{number}")
            await self.people.edit()
        self.stage.start("a")
        await self.until(self._subscribed, "the daemon does not start")
        for mapping in MAPPINGS:
            for side in ("app", "crm"):
                await brakes.allow(self.stage.db, "test", mapping, side, 10**6)  # type: ignore[arg-type]
        await self.ask("fetch_all", {})

    async def calm(self) -> None:
        """Nothing goes wrong any more; a daemon that lives."""
        self.note("calm")
        self.control("DELETE", "faults")
        self.control("POST", "webhooks", CALM)
        await asyncio.gather(*self.open)
        await self.stage.close()
        self.stage.start("a")
        await self.until(self._subscribed, "the daemon does not start again")

    async def quiet(self) -> None:
        """Sweeps until nothing is left to do."""
        for kind in ("recent", "full"):
            await self.ask("sweep", {"kind": kind})
        await self.until(self._nothing_left, "not quiet")
        self.note("quiet")

    async def check(self) -> None:
        """The laws."""
        if await self._left_to_a_person():
            self.riddles += 1
            return
        people = await report.needs_person(self.stage.db, self._now())  # type: ignore[arg-type]
        self._law(
            not any(n for name, n in people.items() if name != "held"),
            f"needs a person: {people}\n{await self.trouble()}",
        )
        differences = await self.people.differences()
        self._law(not differences, "\n".join(differences))
        before = await self._versions()
        self.control("DELETE", "stats")
        await self.quiet()
        stats = self.control("GET", "stats")
        writes = {name: n for name, n in stats["requests"].items() if not name.startswith("GET")}
        self._law(not writes, f"one more pass writes to the CRM: {writes}")
        self._law(before == await self._versions(), "one more pass writes rows")

    async def _left_to_a_person(self) -> bool:
        """True when a create of ours and a record that was edited at once cannot be told apart: a person must."""
        causes = await self.stage.db.fetch("select cause from connector.work where state = 'parked'")
        return bool(causes) and {row["cause"] for row in causes} == {"ambiguous"}

    def _law(self, holds: bool, text: str) -> None:  # noqa: FBT001
        if not holds:
            raise BrokenLawError(text)

    async def digest(self) -> str:
        """What makes two stories one."""
        rows = await self.stage.db.fetch("select * from connector.journal order by id")
        told = [*(str(dict(row)) for row in rows), str(asyncio.get_running_loop().time())]
        return sha256("\n".join(told).encode()).hexdigest()

    async def _versions(self) -> list[Any]:
        tables = ("companies", "contacts", "deals", "calls")
        return [await self.stage.db.fetch(f"select id, xmin::text from app.{name} order by id") for name in tables]

    # --- asking ------------------------------------------------------------------------------------------------------

    def control(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Turns the sandbox."""
        sandbox = self.stage.sandbox
        answer = sandbox.control.answer(method, path, dict(body or {}))
        return json_of(answer.body)

    def now(self) -> Any:
        """The time of the stage."""
        return self.stage.clock.now()

    def _now(self) -> report.Now:
        return report.Now("test", self.now())

    async def ask(self, kind: str, args: Mapping[str, Any]) -> None:
        """Asks until it is done."""
        while True:
            request = await connections.ask(self.stage.db, "test", kind, args, self.now())  # type: ignore[arg-type]

            async def answered(request: int = request) -> Any:
                return await self.stage.db.fetchrow(
                    "select state, result from connector.request where id = $1 and state in ('done', 'failed')", request
                )

            row = await self.until(answered, f"{kind} is never answered")
            if row["state"] == "done":
                return
            self.note(f"{kind} failed: {row['result']}")

    async def until(self, probe: Callable[[], Awaitable[Any]], complaint: str) -> Any:
        """Lets time pass until the probe returns something true."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while not (value := await probe()):
            process = self.stage.processes.get("a")
            if process is not None and process.task.done() and not process.task.cancelled():
                process.task.result()
            if asyncio.get_running_loop().time() > deadline:
                raise BrokenLawError(f"{complaint}\n{await self.trouble()}")
            await self.stage.pass_time(0.5)
        return value

    async def trouble(self) -> str:
        """What is not done."""
        left = await report.unfinished(self.stage.db, self._now())  # type: ignore[arg-type]
        rows = await self.stage.db.fetch(
            """select l.id, l.mapping, l.app_key, l.crm_id, l.state as link, w.state, w.cause, w.due_at, w.attempt
               from connector.work w join connector.link l on l.id = w.link_id order by l.id limit 20"""
        )
        return "\n".join([f"left: {left}", *(str(dict(row)) for row in rows)])

    async def _subscribed(self) -> bool:
        running = self.stage.processes["a"].daemon.running.get("test")
        return running is not None and running.context is not None and running.context.pushed

    async def _nothing_left(self) -> bool:
        left = await report.unfinished(self.stage.db, self._now())  # type: ignore[arg-type]
        return not any(left.values())


def json_of(body: bytes) -> Any:
    """The data of an answer of the sandbox."""
    return json.loads(body or b"{}").get("data")


STEP_KINDS: Mapping[str, tuple[int, Callable[[Story, Random], Awaitable[None]]]] = {
    "edit": (12, Story.edit),
    "fault": (4, Story.fault),
    "weather": (2, Story.weather),
    "doom": (2, Story.doom),
    "bury": (2, Story.bury),
    "sweep": (1, Story.sweep),
    "relief": (1, Story.relief),
    "interrupt": (1, Story.interrupt),
    "slow edit": (1, Story.slow_edit),
}


async def tell(dsn: str, directory: Path, seed: int, steps: Sequence[int] | None = None) -> Told:
    """Plays the story of a seed and checks the laws. An error carries the trace as a note."""
    async with stage(dsn, directory, seed) as set_:
        people = Business(set_.db, set_.sandbox, Random(seed))
        story = Story(set_, people, seed)
        try:
            await story.prepare()
            await story.play(range(STEPS) if steps is None else steps)
            await story.calm()
            await story.quiet()
            await story.check()
        except BaseException as error:
            error.add_note("\n".join(story.trace))
            raise
        counts = {"edits": len(people.trace), "incarnations": set_.births, "faults": sum(r.hits for r in story.faults)}
        counts["left to a person"] = story.riddles
        return Told(story.trace, counts, await story.digest())
