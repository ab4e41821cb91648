"""Observe: everything that planning a batch of links needs, in a fixed number of queries and reads whatever the count."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from connector.core.model import CrmId, Lane, Link, LinkId, Moved, NotVisible, Record
from connector.engine.context import Context
from connector.engine.observe.belonging import belongs_to
from connector.engine.observe.candidates import find_candidates
from connector.engine.observe.case import Case, age
from connector.engine.observe.halves import find_halves
from connector.engine.observe.kinship import find_kin
from connector.engine.observe.leaning import find_leaning
from connector.engine.observe.lookup import look_up
from connector.engine.observe.situation import situation_of
from connector.engine.slices import in_slices
from connector.local import tables
from connector.store import aliases, intents, links
from connector.store.intents import Intent
from connector.store.work import Item


class Observer:
    """Turns claimed items into cases with situations."""

    def __init__(self, context: Context) -> None:
        self.context = context

    async def cases(
        self,
        items: Sequence[Item],
        given: Mapping[CrmId, Record],
        began: datetime | None,
        new: Mapping[LinkId, Link] | None = None,
    ) -> list[Case]:
        """One case for every item whose link still exists, or is `new`. `given` are records read from `began` on."""
        new, now = new or {}, self.context.reading_since()
        stored = [item.link_id for item in items if item.link_id not in new]
        found, leftovers = await self._stored(stored) if stored else ({}, {})
        found = {**found, **new}
        cases = [
            Case(
                item,
                found[item.link_id],
                self.context.rules,
                now,
                leftovers=leftovers.get(item.link_id, ()),
                new=item.link_id in new,
            )
            for item in items
            if item.link_id in found
        ]
        await self.complete(cases, given, began)
        return cases

    async def _stored(self, ids: Sequence[LinkId]) -> tuple[Mapping[LinkId, Link], Mapping[LinkId, Sequence[Intent]]]:
        async with self.context.database.session() as db:
            return await links.by_id(db, ids), await intents.of_links(db, ids)

    async def complete(self, cases: Sequence[Case], given: Mapping[CrmId, Record], began: datetime | None) -> None:
        """Reads both sides of cases, also of such whose link nobody has stored."""
        await self.read_crm(cases, given, began)
        for case in cases:
            case.mapping = belongs_to(case)
        await self.read_rows(cases)

    async def situations(self, cases: Sequence[Case]) -> None:
        """Gives every case with a mapping its situation."""
        mapped = [case for case in cases if case.mapping is not None]
        lost = self.context.gates.lost  # what is looked up by it and what is concluded from it must not fall apart
        kin = await find_kin(self.context, mapped, lost)
        async with self.context.database.session() as db:
            lookup = await look_up(self.context, db, mapped)
            await find_candidates(self.context, db, mapped, lookup.refs)
            halves = await find_halves(self.context, db, mapped, lost)
            await find_leaning(self.context, db, mapped)
        async for case in in_slices(sorted(mapped, key=age)):
            case.situation = situation_of(self.context, case, lookup, halves, kin.get(case.link.id))
            if case.situation.intent_link is not None:
                halves.joined(case.situation.intent_link)

    async def date(self, cases: Sequence[Case]) -> None:
        """Asks the CRM when each field of these records changed, where it can tell; an event's own time is kept."""
        offset = timedelta(seconds=self.context.clock_offset)
        groups: dict[tuple[str, Lane], dict[CrmId, Case]] = defaultdict(dict)
        for case in cases:
            if case.link.crm_id is not None:
                groups[case.link.object, case.item.lane][case.link.crm_id] = case
        for (name, lane), group in groups.items():
            told = await self.context.crm.history(name, list(group), lane=lane)
            for crm_id, times in told.items():
                case = group[crm_id]
                assert case.situation is not None  # noqa: S101 (only planned cases are dated)
                clocks = case.situation.clocks
                crm = {**{key: at - offset for key, at in times.items()}, **clocks.crm}
                case.situation = replace(case.situation, clocks=replace(clocks, crm=crm))

    # --- reading both sides ------------------------------------------------------------------------------------------

    async def read_crm(self, cases: Sequence[Case], given: Mapping[CrmId, Record], began: datetime | None) -> None:
        """Reads the records of cases, but for those that are given and have not moved since."""
        wanted: dict[tuple[str, int], list[Case]] = defaultdict(list)
        for case in cases:
            if case.link.crm_id is None or case.link.released:
                continue
            record = given.get(case.link.crm_id)
            if record is not None and began is not None and not self._moved_since(case, began):
                case.crm, case.fresh, case.read_at = record, False, began
            else:
                wanted[case.link.object, case.item.lane].append(case)
        await asyncio.gather(*(self._read_object(name, group) for (name, _), group in wanted.items()))

    def _moved_since(self, case: Case, began: datetime) -> bool:
        """True when a page that was read from `began` on may be older than what is known of the record."""
        since = self.context.crm_time(began) - timedelta(seconds=self.context.clock_error)
        return _committed_since(case.link, began) or any(t.at is None or t.at >= since for t in case.item.told)

    async def _read_object(self, name: str, cases: Sequence[Case]) -> None:
        ids = [case.link.crm_id for case in cases if case.link.crm_id is not None]
        answers = {**await self.context.crm.read(name, ids, lane=cases[0].item.lane)}
        answers |= await self._moved(name, [key for key in ids if not isinstance(answers.get(key), Record)])
        for case in cases:
            if case.link.crm_id is not None:
                case.crm = answers.get(case.link.crm_id, NotVisible())

    async def _moved(self, name: str, ids: Sequence[CrmId]) -> Mapping[CrmId, Moved]:
        """Where records that are gone were merged into, as far as events have told."""
        if not ids:
            return {}
        async with self.context.database.session() as db:
            found = await aliases.survivors(db, self.context.name, name, ids)
        return {loser: Moved(survivor) for loser, survivor in found.items()}

    async def read_rows(self, cases: Sequence[Case]) -> None:
        """Reads the rows of cases, by their mappings."""
        groups: dict[str, list[Case]] = defaultdict(list)
        for case in cases:
            if case.mapping is not None and case.link.app_key is not None:
                groups[case.mapping.name].append(case)
        async with self.context.database.session() as db:
            for name, group in groups.items():
                shape = group[0].rules.shapes[name]
                rows = await tables.read(
                    db, shape, {case.link.app_key for case in group if case.link.app_key is not None}
                )
                for case in group:
                    case.row = rows.get(case.link.app_key) if case.link.app_key is not None else None


def _committed_since(link: Link, began: datetime) -> bool:
    return link.committed_at is not None and link.committed_at >= began
