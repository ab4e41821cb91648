"""Halves: what half-open links may yet be paired with, beside the candidates, for a whole batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connector.core.model import AppKey, CrmId, Link, LinkId
from connector.engine.context import Context
from connector.engine.observe.case import Case
from connector.store import aliases, intents, links
from connector.store.db import Connection
from connector.store.intents import Intent


@dataclass(slots=True)
class Halves:
    """What else is known of the other sides of a batch's halves."""

    pending: Mapping[str, Sequence[Intent]]
    """Object → creates whose outcome is open: any of them may have made a CRM half."""
    occupied: Mapping[bytes, LinkId]
    """Hashes of match keys → the links whose open creates hold them."""
    unread: frozenset[str]
    """Objects of which a record waits to be read, that may match anything."""
    merging: Mapping[tuple[str, CrmId | None], LinkId]
    """(object, id) of CRM halves → the link of a row that will follow to them."""
    left_behind: Mapping[tuple[str, CrmId | None], Sequence[Link]]
    """(object, id) of CRM halves → the links that the record left for other mappings, the newest first."""
    elsewhere: Mapping[LinkId, Sequence[Link]]
    """Links → those of the same rows by which these have, or may get, a record under other mappings of the object."""

    def joined(self, link: LinkId) -> None:
        """Takes out the creates of a link that found its record: a second record with that identity is a copy."""
        self.pending = {name: [i for i in open_ if i.link_id != link] for name, open_ in self.pending.items()}


async def find_halves(context: Context, db: Connection, cases: Sequence[Case]) -> Halves:
    """All of it, once the cases have their match keys."""
    return Halves(
        pending=await _pending(context, db, cases),
        occupied=await _occupied(context, db, cases),
        unread=await _unread(context, db, cases),
        merging=await _merging(context, db, cases),
        left_behind=await _left_behind(context, db, cases),
        elsewhere=await _elsewhere(context, db, cases),
    )


async def _pending(context: Context, db: Connection, cases: Sequence[Case]) -> Mapping[str, Sequence[Intent]]:
    objects = {case.link.object for case in cases if case.link.app_key is None}
    return {name: await intents.open_creates(db, context.name, name) for name in sorted(objects)}


async def _occupied(context: Context, db: Connection, cases: Sequence[Case]) -> Mapping[bytes, LinkId]:
    wanted = sorted({hash_ for case in cases for hash_ in case.hashes})
    return await intents.occupied(db, context.name, wanted) if wanted else {}


async def _unread(context: Context, db: Connection, cases: Sequence[Case]) -> frozenset[str]:
    """Objects of rows that look for a match while a record of the object waits to be read."""
    names = sorted({case.link.object for case in cases if case.hashes and case.link.crm_id is None})
    return await links.unread(db, context.name, names) if names else frozenset()


async def _merging(
    context: Context, db: Connection, cases: Sequence[Case]
) -> Mapping[tuple[str, CrmId | None], LinkId]:
    """By (object, id) of CRM halves: the link of a row that will follow to them."""
    halves: dict[str, list[CrmId]] = defaultdict(list)
    for case in cases:
        if case.link.app_key is None and case.link.crm_id is not None:
            halves[case.link.object].append(case.link.crm_id)
    found: dict[tuple[str, CrmId | None], LinkId] = {}
    for name, ids in halves.items():
        awaited = await aliases.awaited(db, context.name, name, ids)
        found |= {(name, crm_id): link for crm_id, link in awaited.items()}
    return found


async def _left_behind(
    context: Context, db: Connection, cases: Sequence[Case]
) -> Mapping[tuple[str, CrmId | None], Sequence[Link]]:
    """By (object, id) of CRM halves: the links that the record left, in the table to which it belongs now."""
    halves: dict[str, dict[CrmId, str]] = defaultdict(dict)
    for case in cases:
        shared = len(case.rules.of_object(case.link.object)) > 1
        if shared and case.mapping is not None and case.link.app_key is None and case.link.crm_id is not None:
            halves[case.link.object][case.link.crm_id] = case.mapping.name
    found: dict[tuple[str, CrmId | None], Sequence[Link]] = {}
    for name, ids in halves.items():
        left = await links.left_behind(db, context.name, name, ids)
        found |= {(name, crm_id): behind for crm_id, behind in left.items()}
    return found


async def _elsewhere(context: Context, db: Connection, cases: Sequence[Case]) -> Mapping[LinkId, Sequence[Link]]:
    """By link of a row: its living links under the other mappings of the object that share the table."""
    rows: dict[str, dict[AppKey, LinkId]] = defaultdict(dict)
    for case in cases:
        if case.mapping is not None and case.link.app_key is not None:
            for sibling in case.rules.bound.siblings(case.mapping):
                rows[sibling.name][case.link.app_key] = case.link.id
    found: dict[LinkId, list[Link]] = defaultdict(list)
    for name, keys in rows.items():
        known = await links.by_app(db, context.name, name, list(keys))
        making = await intents.of_links(db, [link.id for link in known.values() if link.crm_id is None])
        for key, link in known.items():
            if not link.released and not link.state.tombstone and (link.crm_id is not None or link.id in making):
                found[keys[key]].append(link)
    return found
