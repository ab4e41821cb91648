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
from connector.engine.context import Context
from connector.engine.observe.case import Case
from connector.store import brakes

Place = tuple[str, Side, Effect]
"""Mapping, side, effect: what is counted together."""
REFRESH = 1.0


@dataclass(slots=True)
class Memory:
    """What the database says, read at most once a second."""

    read_at: float = float("-inf")
    done: Counter[Place] = field(default_factory=Counter)
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
        self.flying: dict[LinkId, Sequence[tuple[Place, bool]]] = {}
        """What may go on and is not on record yet: effects by link, and whether a person confirmed them."""

    def forget(self) -> None:
        """Reads the database anew before the next decision: a person allowed or released something."""
        self.memory = Memory()

    def landed(self, link: LinkId) -> None:
        """What a link was let do is on record now, or did not happen."""
        if self.flying.pop(link, None) is not None:
            self.forget()

    async def stopped(self, planned: Sequence[tuple[Case, Plan]], *, confirmed: bool = False) -> set[int]:
        """Positions of the cases that must wait. All of a batch that goes beyond the limits waits, not its tail.

        What a person let go on or `confirmed` goes on, and does not count.
        """
        wanted: dict[Place, list[int]] = defaultdict(list)
        for position, (case, plan) in enumerate(planned):
            for side, effect in plan.effects:
                if word(side, effect) not in case.item.released:
                    wanted[case.mapping.name if case.mapping else "", side, effect].append(position)
        if not wanted:
            return set()
        for case, _ in planned:
            self.landed(case.link.id)
        await self._refresh()
        stopped: set[int] = set()
        spared = self._spared(planned, wanted)
        for place, positions in wanted.items():
            rest = positions[spared[place] :]
            if rest and not confirmed and await self._trips(place, len(rest)):
                stopped.update(rest)
        for position in set().union(*wanted.values()) - stopped:
            self._take_off(*planned[position])
        return stopped

    def _spared(self, planned: Sequence[tuple[Case, Plan]], wanted: Mapping[Place, Sequence[int]]) -> Counter[Place]:
        """So many of each kind are covered by what a person confirmed; their cases know it."""
        left = Counter(self.memory.allowed)
        left.subtract(
            (mapping, side) for flown in self.flying.values() for (mapping, side, _), spared in flown if spared
        )
        found: Counter[Place] = Counter()
        for (mapping, side, effect), positions in wanted.items():
            covered = positions[: max(left[mapping, side], 0)]
            left[mapping, side] -= len(covered)
            found[mapping, side, effect] = len(covered)
            for position in covered:
                planned[position][0].confirmed |= {(side, effect)}
        return found

    def _take_off(self, case: Case, plan: Plan) -> None:
        name = case.mapping.name if case.mapping else ""
        self.flying[case.link.id] = [
            ((name, side, effect), (side, effect) in case.confirmed)
            for side, effect in plan.effects
            if word(side, effect) not in case.item.released
        ]

    async def _trips(self, place: Place, more: int) -> bool:
        mapping, side, _ = place
        if (mapping, side) not in self.memory.tripped and not self._exceeds(place, more):
            return False
        await self._trip(mapping, side)
        return True

    def _exceeds(self, place: Place, more: int) -> bool:
        mapping, _, effect = place
        bound = self.context.rules.bound.mappings.get(mapping)
        spec = bound.brake if bound is not None else BrakeSpec()
        flying = sum(flown.count((place, False)) for flown in self.flying.values())
        total = self.memory.done[place] + flying + more
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
    return "brake:" + ",".join(sorted(word(side, effect) for side, effect in found.effects))


def word(side: Side, effect: Effect) -> str:
    """An effect on a side as causes and releases spell it."""
    return f"{side.value}_{effect.value}"
