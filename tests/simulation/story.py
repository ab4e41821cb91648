"""A story: a stage, the people on it, and what is asked of the daemon while it goes on."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from connector.sandbox.faults import Rule
from connector.store import brakes, connections, report
from tests.engine.business import MAPPINGS
from tests.simulation.files import Admin, Setting
from tests.simulation.people import People
from tests.simulation.stage import Stage
from tests.simulation.witness import Witness

PATIENCE = 7200.0
"""Simulated seconds after which a story that is not quiet counts as hanging."""
CALM = {"duplicate": 0.0, "drop": 0.0, "delay": 0.0, "reorder": 0.0, "before_response": False, "scale": 1.0}
SKEWS = (0.0, 0.0, 0.0, -200.0, -90.0, -2.5, 1.5, 75.0, 240.0)
"""Seconds that the daemon's and the database's clocks may be ahead of the CRM's."""
SWITCHES: Mapping[str, tuple[Any, Any]] = {
    "second_delete": (404, 410),
    "children_bump_parent": (False, True),
    "merge_tells_children": (True, False),
    "unix_timestamps": (False, True),
    "tidy_phones": (False, True),
}
"""What the CRM's documentation leaves open."""
FOR_A_PERSON = ("merge_unsent",)
"""Causes of parked records that a person looks at and lets go on."""


class BrokenLawError(AssertionError):
    """What must hold after every story does not."""


@dataclass(slots=True)
class Story:
    """One story on its stage."""

    stage: Stage
    people: People
    witness: Witness
    admin: Admin
    seed: int
    trace: list[str] = field(default_factory=list)
    faults: list[Rule] = field(default_factory=list)
    open: list[asyncio.Task[None]] = field(default_factory=list)
    """What somebody began that is still to end."""
    woken: list[float] = field(default_factory=list)
    """When a process that had been stopped went on."""
    happened: Counter[str] = field(default_factory=Counter)
    """How often which step was played."""
    riddles: int = 0

    def note(self, text: str) -> None:
        """Remembers what happened, and when."""
        self.trace.append(f"{asyncio.get_running_loop().time():9.3f}  {text}")

    # --- beginning and end -------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Some records, clocks that are wrong by some seconds, and a daemon that knows them all."""
        self.admin.write(Setting(), 0.0)
        dice = Random(f"{self.seed}/clocks")
        self.stage.skew, self.stage.app_skew = dice.choice(SKEWS), dice.choice(SKEWS)
        await self.stage.tell_time()
        self.control("POST", "webhooks", CALM)
        self.stage.sandbox.api.limits.burst = dice.choice((None, 20, 40))
        self.control("POST", "settings", {name: dice.choice(both) for name, both in SWITCHES.items()})
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
        await self.people.tidy_up()
        self.admin.write(Setting(), asyncio.get_running_loop().time())
        await self.stage.close()
        self.stage.start("a")
        await self.until(self._subscribed, "the daemon does not start again")

    async def end(self) -> None:
        """What somebody began and did not end ends with the story: afterwards no simulated time passes."""
        for task in self.open:
            task.cancel()
        await asyncio.gather(*self.open, return_exceptions=True)

    async def quiet(self) -> None:
        """Sweeps until nothing is left to do, but for what only a person can decide."""
        for kind in ("recent", "full"):
            await self.ask("sweep", {"kind": kind})
        await self.settled()
        self.note("quiet")

    async def settled(self) -> None:
        """Waits until nothing is left to do, but for what only a person can decide."""
        await self.until(self._nothing_left, "not quiet")
        while await self.parked(*FOR_A_PERSON):
            for cause in FOR_A_PERSON:
                await self.ask("retry", {"cause": cause})
            await self.until(self._nothing_left, "not quiet")

    def unheard(self) -> bool:
        """True while the CRM does not deliver."""
        deliverer, webhooks = self.stage.sandbox.deliverer, self.stage.sandbox.world.subscriptions.values()
        return not webhooks or any(deliverer.standing(webhook).banned_until is not None for webhook in webhooks)

    async def parked(self, *causes: str) -> int:
        """How many records wait for a person for one of these causes."""
        sql = "select count(*) from connector.work where state = 'parked' and cause = any($1::text[])"
        return int(await self.stage.db.fetchval(sql, list(causes)))

    # --- asking ------------------------------------------------------------------------------------------------------

    def control(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Turns the sandbox."""
        answer = self.stage.sandbox.control.answer(method, path, dict(body or {}))
        return json.loads(answer.body or b"{}").get("data")

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
            """select l.id, l.mapping, l.object, l.app_key, l.crm_id, l.state as link, w.state, w.cause, w.due_at, w.attempt,
                      w.waiting_for
               from connector.work w join connector.link l on l.id = w.link_id order by l.id limit 20"""
        )
        open_ = await self.stage.db.fetch(
            """select i.id, i.link_id, i.op, i.object, i.unknown, i.sent_at, l.state, l.app_key, l.crm_id
               from connector.intent i left join connector.link l on l.id = i.link_id order by i.id limit 5"""
        )
        return "\n".join([f"left: {left}", *(str(dict(row)) for row in (*rows, *open_))])

    async def needs_person(self) -> Mapping[str, int]:
        """What waits for a person, by kind; a value that is held for want of its parent is none."""
        people = await report.needs_person(self.stage.db, self._now())  # type: ignore[arg-type]
        return {name: n for name, n in people.items() if n and name != "held"}

    async def _subscribed(self) -> bool:
        running = self.stage.processes["a"].daemon.running.get("test")
        return running is not None and running.context is not None and running.context.pushed

    async def _nothing_left(self) -> bool:
        left = await report.unfinished(self.stage.db, self._now())  # type: ignore[arg-type]
        return not any(left.values()) and not self.stage.sandbox.deliverer.pending
