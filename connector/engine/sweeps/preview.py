"""Preview: what a fetch-all would do, counted with the real observer and plan; neither side nor any link is written.

Records and rows are walked as the fetch-all would walk them. The match keys of all records are kept as by any listing;
what the walk would link first is remembered.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from connector.core.line import BoundMapping
from connector.core.model import AppKey, CrmId, Lane, Link, LinkId, LinkState, Record, Side
from connector.core.plan import Candidate, CreateRecord, Effect, InsertRow, Plan, Step, UpdateRecord, plan
from connector.engine.context import Context, Gates
from connector.engine.observe.case import Case
from connector.engine.reconcile import Reconciler
from connector.engine.sweeps.glance import unsettled
from connector.engine.sweeps.pages import keep_keys
from connector.local import tables
from connector.store import links
from connector.store.work import Item

Report = Callable[[Mapping[str, object]], Awaitable[None]]
ROWS = 1000
NOBODY = LinkId(0)
SAMPLES = 10


class Preview:
    """Counts one fetch-all. Made for one run."""

    def __init__(self, context: Context, mappings: Sequence[str]) -> None:
        bound = context.rules.bound.mappings
        open_gates = Gates(fetched=set(bound), listed=dict(context.rules.keyed), looked=set(context.rules.objects))
        self.live = context
        self.context = replace(context, gates=open_gates, keys_in_flight={})
        self.reconciler = Reconciler(self.context)
        self.names = [name for name in bound if name in mappings or not mappings]
        self.counts: dict[str, Counter[str]] = {name: Counter() for name in self.names}
        self.samples: dict[str, list[str]] = defaultdict(list)
        self.taken: set[tuple[str, AppKey]] = set()
        self.adopted: dict[tuple[str, str], LinkId] = {}
        self.made: set[bytes] = set()
        self.tokens = 0.0

    async def run(self, report: Report) -> Mapping[str, object]:
        """The counts by mapping, and the price of the fetch-all in the CRM's budget."""
        for name in self.context.rules.objects:
            wanted = [m for m in self.context.rules.of_object(name) if m.name in self.names]
            if wanted and self.context.rules.heard(name):
                await self._listing(name, report)
            for mapping in wanted:
                await self._rows(mapping, report)
            self.tokens += sum(self._price(mapping) for mapping in wanted)
        return {"mappings": {name: self._told(name) for name in self.names}, "tokens": round(self.tokens)}

    def _told(self, name: str) -> Mapping[str, object]:
        """Every count, and the ids of some records that match ambiguously or twice."""
        return {word: self.counts[name][word] for word in WORDS} | {"samples": self.samples[name][:SAMPLES]}

    def _price(self, mapping: BoundMapping) -> float:
        """What the sends will cost: creates, and updates with the read before each."""
        prices, found = self.context.capabilities(mapping.object).prices, self.counts[mapping.name]
        return found["creates"] * prices.create + found["updates"] * (prices.read + prices.update)

    # --- the CRM's side ----------------------------------------------------------------------------------------------

    async def _listing(self, name: str, report: Report) -> None:
        cursor, seen = None, 0
        while True:
            began = self.context.clock.now()
            page = await self.context.crm.listing(name, cursor, lane=Lane.FETCH_ALL)
            self.tokens += self.context.capabilities(name).prices.page
            await self._page(name, page.records, began)
            seen, cursor = seen + len(page.records), page.cursor
            await report({"object": name, "phase": "counting records", "seen": seen})
            if cursor is None:
                return

    async def _page(self, name: str, records: Sequence[Record], began: datetime) -> None:
        async with self.context.database.session() as db:
            known = await links.glance(db, self.context.name, name, [record.id for record in records])
            rest = await unsettled(self.context, db, records, known)
            linked = await links.by_crm(db, self.context.name, name, [r.id for r in rest if r.id in known])
        await keep_keys(self.live, name, records, known)
        cases = [self._case(linked.get(record.id) or crm_half(name, record.id)) for record in rest]
        await self.reconciler.observer.complete(cases, {record.id: record for record in rest}, began)
        cases = [case for case in cases if case.mapping is not None and case.mapping.name in self.names]
        await self.reconciler.observer.situations(cases)
        for case, found in await self.reconciler.foresee(cases):
            self._count(case, found)

    # --- the app's side ----------------------------------------------------------------------------------------------

    async def _rows(self, mapping: BoundMapping, report: Report) -> None:
        if not (mapping.direction.sends or mapping.match):
            return
        after: AppKey | None = None
        seen = 0
        while True:
            async with self.context.database.session() as db:
                keys = await tables.keys(db, self.context.rules.shapes[mapping.name], after, ROWS)
                known = await links.by_app(db, self.context.name, mapping.name, keys)
            fresh = [key for key in keys if not self._settled(mapping, key, known)]
            await self._unlinked([self._case(known.get(key) or app_half(mapping, key)) for key in fresh])
            seen += len(keys)
            await report({"object": mapping.object, "phase": "counting rows", "seen": seen})
            if len(keys) < ROWS:
                return
            after = keys[-1]

    def _settled(self, mapping: BoundMapping, key: AppKey, known: Mapping[AppKey, Link]) -> bool:
        """True for rows with a link of their own, and those that a record takes."""
        link = known.get(key)
        return (mapping.name, key) in self.taken or (link is not None and link.state is not LinkState.OPEN)

    async def _unlinked(self, cases: Sequence[Case]) -> None:
        await self.reconciler.observer.complete(cases, {}, None)
        await self.reconciler.observer.situations(cases)
        for case in cases:
            if case.situation is not None:
                self._count(case, plan(replace(case.situation, candidates=self._candidates(case))))

    def _candidates(self, case: Case) -> tuple[Candidate, ...]:
        """Those that were found; what was adopted on the way would be linked by now."""
        taken = self.adopted
        return tuple(replace(c, owner=c.owner or taken.get((case.link.object, c.key))) for c in case.candidates)

    # --- counting ----------------------------------------------------------------------------------------------------

    def _case(self, link: Link) -> Case:
        return Case(Item(link.id, Lane.FETCH_ALL, 0), link, self.context.rules, self.context.clock.now())

    def _count(self, case: Case, found: Plan) -> None:
        word = self._word(case, found)
        name = case.mapping.name if case.mapping is not None else ""
        if word is not None:
            self.counts[name][word] += 1
        if word in ("ambiguous", "duplicates") and case.link.crm_id is not None:
            self.samples[name].append(case.link.crm_id)
        for side, effect in found.effects:
            if effect is not Effect.CREATE and word != "duplicates":
                self.counts[name][f"{effect.value}s_{side.value}"] += 1
        self.counts[name]["updates"] += int(isinstance(found.record, UpdateRecord))

    def _word(self, case: Case, found: Plan) -> str | None:
        """What the plan counts as. A half that waits for its parent is made once the parent is."""
        if found.cause == "ambiguous" or found.step is Step.ADOPT:
            return "ambiguous"
        if found.cause == "duplicate" or self._second(case, found):
            return "duplicates"
        if case.adopted is not None:
            return "adopts"
        if case.link.half and (
            found.cause == "parent" or isinstance(found.row or found.record, InsertRow | CreateRecord)
        ):
            return "creates" if case.link.crm_id is None else "inserts"
        return None

    def _second(self, case: Case, found: Plan) -> bool:
        """True when an earlier one took the same row, or will be made with the same match key."""
        if case.adopted is not None:
            row = (str(case.link.mapping), AppKey(str(case.link.app_key)))
            again = row in self.taken
            self.taken.add(row)
            self.adopted |= {(case.link.object, case.link.crm_id): case.link.id} if case.link.crm_id is not None else {}
            return again
        making = case.link.half and (found.step in (Step.APPLY, Step.WAIT))
        again = making and any(hash_ in self.made for hash_ in case.hashes)
        self.made.update(case.hashes if making else ())
        return again


WORDS = (
    "creates", "inserts", "adopts", "ambiguous", "duplicates", "updates",
    "overwrites_app", "overwrites_crm", "clears_app", "clears_crm", "deletes_app", "deletes_crm",
)  # fmt: skip


def crm_half(name: str, crm_id: CrmId) -> Link:
    """The link that a record without one would get."""
    return Link(NOBODY, name, None, None, crm_id, LinkState.OPEN, Side.CRM)


def app_half(mapping: BoundMapping, key: AppKey) -> Link:
    """The link that a row without one would get."""
    return Link(NOBODY, mapping.object, mapping.name, key, None, LinkState.OPEN, Side.APP)


def allowances(counted: Mapping[str, Mapping[str, int]]) -> Mapping[str, Mapping[str, int]]:
    """Mapping → side → what a person who confirms these counts allows: creates and first-sight overwrites."""
    return {
        name: {"crm": found["creates"] + found["overwrites_crm"], "app": found["overwrites_app"]}
        for name, found in counted.items()
    }
