"""The brake: mass change stops and waits for a person; ordinary three-way updates never do.

Counted per mapping and side over a sliding hour, each by itself: deletes, clears, first-sight overwrites, and creates in
the CRM. What is beyond the limits is stopped until a person releases it or it is undone where it was done; as long as
something is stopped, more of the same is too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

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
log = structlog.get_logger()


@dataclass(slots=True)
class Memory:
    """What was done and allowed, as the database says: at most a second old, and read again when something has happened."""

    read_at: float = float("-inf")
    done: Counter[Place] = field(default_factory=Counter)
    allowed: dict[tuple[str, Side], int] = field(default_factory=dict)


@dataclass(slots=True)
class Standing:
    """What is tripped and how many links there are: at most a second old."""

    read_at: float = float("-inf")
    tripped: set[Place] = field(default_factory=set)
    links: Mapping[str, int] = field(default_factory=dict)


class Brake:
    """Decides which planned cases may go on."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.memory, self.standing = Memory(), Standing()
        self.flying: dict[LinkId, Sequence[tuple[Place, bool]]] = {}
        """What may go on and is not on record yet: effects by link, and whether a person confirmed them."""

    def forget(self) -> None:
        """Reads the database anew before the next decision: a person allowed or released something."""
        self.memory, self.standing = Memory(), Standing()

    def landed(self, link: LinkId) -> None:
        """What a link was let do is on record now, or did not happen."""
        if self.flying.pop(link, None) is not None:
            self.memory = Memory()

    async def stopped(
        self, planned: Sequence[tuple[Case, Plan]], *, confirmed: bool = False
    ) -> Mapping[LinkId, frozenset[tuple[Side, Effect]]]:
        """By link, the effects that must wait. All of a batch that goes beyond the limits waits, not its tail.

        What a person let go on or `confirmed` goes on, and does not count.
        """
        wanted: dict[Place, list[int]] = defaultdict(list)
        for position, (case, plan) in enumerate(planned):
            case.let_go = released(case, plan)
            for side, effect in plan.effects - case.let_go:
                wanted[_name(case), side, effect].append(position)
        if not wanted:
            return {}
        for case, _ in planned:
            self.landed(case.link.id)
        await self._refresh()
        stopped: dict[LinkId, frozenset[tuple[Side, Effect]]] = {}
        spared = self._spared(planned, wanted)
        for place, positions in wanted.items():
            rest = positions[spared[place] :]
            if rest and not confirmed and self._trips(place, len(rest)):
                for link in (planned[position][0].link.id for position in rest):
                    stopped[link] = stopped.get(link, frozenset()) | {place[1:]}
        for position in set().union(*wanted.values()):
            case, plan = planned[position]
            self._take_off(case, plan.effects - case.let_go - stopped.get(case.link.id, frozenset()))
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

    def _take_off(self, case: Case, effects: frozenset[tuple[Side, Effect]]) -> None:
        if effects:
            self.flying[case.link.id] = [
                ((_name(case), side, effect), (side, effect) in case.confirmed) for side, effect in effects
            ]

    def _trips(self, place: Place, more: int) -> bool:
        if place in self.standing.tripped:
            return True
        if not self._exceeds(place, more):
            return False
        mapping, side, effect = place
        self.standing.tripped.add(place)
        self.context.metrics.brake_tripped.labels(self.context.label(mapping), side.value).set(1)
        log.warning("brake.tripped", mapping=self.context.label(mapping), side=side.value, effect=effect.value)
        return True

    def _exceeds(self, place: Place, more: int) -> bool:
        mapping, _, effect = place
        bound = self.context.rules.bound.mappings.get(mapping)
        spec = bound.brake if bound is not None else BrakeSpec()
        flying = sum(flown.count((place, False)) for flown in self.flying.values())
        total = self.memory.done[place] + flying + more
        return exceeded(spec, effect, total, self.standing.links.get(mapping, 0))

    async def _refresh(self) -> None:
        now = self.context.clock.monotonic()
        if now - self.standing.read_at >= REFRESH:
            self.standing = await self._read_standing(now)
        if now - self.memory.read_at >= REFRESH:
            self.memory = await self._read_memory(now)

    async def _read_standing(self, now: float) -> Standing:
        async with self.context.database.session() as db:
            tripped = await brakes.tripped(db, self.context.name)
            links = await brakes.linked(db, self.context.name)
        return Standing(now, {(each.mapping, Side(each.side), Effect(each.effect)) for each in tripped}, links)

    async def _read_memory(self, now: float) -> Memory:
        async with self.context.database.session() as db:
            counts = await brakes.counts(db, self.context.name, self.context.clock.now())
            allowed = await brakes.allowances(db, self.context.name)
        done = Counter({(c.mapping, Side(c.side), Effect(c.effect)): c.records for c in counts})
        return Memory(now, done, {(mapping, Side(side)): n for (mapping, side), n in allowed.items()})


def released(case: Case, plan: Plan) -> frozenset[tuple[Side, Effect]]:
    """The effects of a plan that a person let go on, in every line."""
    return frozenset(effect for effect in plan.effects if plan.words([effect]) <= case.item.released)


def _name(case: Case) -> str:
    return case.mapping.name if case.mapping is not None else ""
