"""The brake: mass change stops and waits for a person; ordinary three-way updates never do.

Counted per mapping and side over a sliding hour: deletes, clears, first-sight overwrites, and creates in the CRM.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from connector.core.brake import exceeded
from connector.core.mapping import BrakeSpec
from connector.core.model import LinkId, Side
from connector.core.plan import Effect, Plan
from connector.engine.case import Case
from connector.engine.context import Context
from connector.store import brakes
from connector.store.brakes import Count

REFRESH = 1.0


@dataclass(slots=True)
class Memory:
    """What the database says, read at most once a second."""

    read_at: float = float("-inf")
    done: Counter[tuple[str, Side, Effect]] = field(default_factory=Counter)
    tripped: set[tuple[str, Side]] = field(default_factory=set)
    allowed: dict[tuple[str, Side], int] = field(default_factory=dict)
    links: Mapping[str, int] = field(default_factory=dict)


class Brake:
    """Decides which planned cases may go on."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.memory = Memory()
        self.links: Mapping[str, int] = {}
        self.counted_at = float("-inf")
        self.flying: dict[LinkId, Sequence[tuple[str, Side, Effect]]] = {}
        """What may go on and is not on record yet: effects by link."""

    def forget(self) -> None:
        """Reads the database anew before the next decision: a person allowed or released something."""
        self.memory = Memory()

    def landed(self, link: LinkId) -> None:
        """What a link was let do is on record now, or did not happen."""
        if self.flying.pop(link, None) is not None:
            self.forget()

    async def stopped(self, planned: Sequence[tuple[Case, Plan]], *, confirmed: bool = False) -> set[int]:
        """Positions of the cases that must wait. All of a batch that goes beyond the limits waits, not its tail.

        What a person `confirmed` goes on; it only uses up what was allowed.
        """
        wanted: dict[tuple[str, Side, Effect], list[int]] = defaultdict(list)
        for position, (case, plan) in enumerate(planned):
            for side, effect in plan.effects:
                wanted[case.mapping.name if case.mapping else "", side, effect].append(position)
        if not wanted:
            return set()
        for case, _ in planned:
            self.landed(case.link.id)
        await self._refresh()
        stopped: set[int] = set()
        for (mapping, side, effect), positions in wanted.items():
            if confirmed:
                await self._use(mapping, side, effect, len(positions))
            else:
                stopped.update(await self._check(mapping, side, effect, positions))
        self._take_off(planned, stopped)
        return stopped

    def _take_off(self, planned: Sequence[tuple[Case, Plan]], stopped: set[int]) -> None:
        for position, (case, plan) in enumerate(planned):
            if position not in stopped and plan.effects:
                name = case.mapping.name if case.mapping else ""
                self.flying[case.link.id] = [(name, side, effect) for side, effect in plan.effects]

    async def _use(self, mapping: str, side: Side, effect: Effect, records: int) -> int:
        """Takes from what a person allowed, which does not count; how many of the records that covers."""
        allowed = min(self.memory.allowed.get((mapping, side), 0), records)
        if allowed:
            self.memory.allowed[mapping, side] -= allowed
            uncounted = Count(mapping, side.value, effect.value, -allowed)
            async with self.context.database.transaction(self.context.fence) as db:
                await brakes.allow(db, self.context.name, mapping, side.value, -allowed)
                await brakes.add(db, self.context.name, [uncounted], self.context.clock.now())
        return allowed

    async def _check(self, mapping: str, side: Side, effect: Effect, positions: Sequence[int]) -> Sequence[int]:
        memory, place = self.memory, (mapping, side)
        rest = positions[await self._use(mapping, side, effect, len(positions)) :]
        if not rest:
            return ()
        if place not in memory.tripped and not self._exceeds(mapping, side, effect, len(rest)):
            return ()
        await self._trip(mapping, side)
        return rest

    def _exceeds(self, mapping: str, side: Side, effect: Effect, more: int) -> bool:
        bound = self.context.rules.bound.mappings.get(mapping)
        spec = bound.brake if bound is not None else BrakeSpec()
        flying = sum(effects.count((mapping, side, effect)) for effects in self.flying.values())
        total = self.memory.done[mapping, side, effect] + flying + more
        return exceeded(spec, effect, total, self.memory.links.get(mapping, 0))

    async def _trip(self, mapping: str, side: Side) -> None:
        if (mapping, side) in self.memory.tripped:
            return
        self.memory.tripped.add((mapping, side))
        async with self.context.database.transaction(self.context.fence) as db:
            await brakes.trip(db, self.context.name, mapping, side.value, self.context.clock.now())
        self.context.metrics.brake_tripped.labels(self.context.label(mapping), side.value).set(1)

    async def _refresh(self) -> None:
        now = self.context.clock.monotonic()
        if now - self.memory.read_at < REFRESH:
            return
        async with self.context.database.session() as db:
            counts = await brakes.counts(db, self.context.name, self.context.clock.now())
            tripped = await brakes.tripped(db, self.context.name)
            allowed = await brakes.allowances(db, self.context.name)
            if now - self.counted_at >= REFRESH:
                self.links, self.counted_at = await brakes.linked(db, self.context.name), now
        done = Counter({(c.mapping, Side(c.side), Effect(c.effect)): c.records for c in counts})
        self.memory = Memory(
            now,
            done,
            {(mapping, Side(side)) for mapping, side, _ in tripped},
            {(mapping, Side(side)): n for (mapping, side), n in allowed.items()},
            self.links,
        )


def braked(found: Plan) -> str:
    """The cause of an item that the brake stopped: which effects on which side it would have."""
    return "brake:" + ",".join(sorted(f"{side.value}_{effect.value}" for side, effect in found.effects))
