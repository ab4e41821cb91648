"""Halves: what half-open links may yet be paired with, beside the candidates, for a whole batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from connector.core.fingerprint import OVERLAP, alike
from connector.core.identity import Lost, identity_row
from connector.core.model import AppKey, CrmId, Link, LinkId, Record
from connector.engine.context import Context
from connector.engine.observe.case import Case, age
from connector.local import tables
from connector.store import aliases, intents, links
from connector.store.db import Connection
from connector.store.intents import Intent

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Since when rows are there that nobody has noticed."""


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
    lost: Lost
    """The numbers of intents that this database did not give, as they were when all this was looked up."""
    makers: Mapping[tuple[str, CrmId | None], LinkId]
    """(object, id) of CRM halves that lost creates made → the links of their rows."""
    rowless: Mapping[tuple[str, CrmId | None], AppKey]
    """(object, id) of CRM halves that lost creates made → the keys of their rows, which are gone."""
    unsettled: Mapping[str, Link]
    """Object without identities → the oldest link of a row whose record may be any that was made since it is lost."""
    elsewhere: Mapping[LinkId, Sequence[Link]]
    """Links → those of the same rows by which these have, or may get, a record under other mappings of the object."""

    def joined(self, link: LinkId) -> None:
        """Takes out the creates of a link that found its record: a second record with that identity is a copy."""
        self.pending = {name: [i for i in open_ if i.link_id != link] for name, open_ in self.pending.items()}


async def find_halves(context: Context, db: Connection, cases: Sequence[Case], lost: Lost) -> Halves:
    """All of it, once the cases have their match keys."""
    makers, rowless = await _made(context, db, cases, lost)
    return Halves(
        pending=await _pending(context, db, cases),
        occupied=await _occupied(context, db, cases),
        unread=await _unread(context, db, cases),
        merging=await _merging(context, db, cases),
        left_behind=await _left_behind(context, db, cases),
        lost=lost,
        makers=makers,
        rowless=rowless,
        unsettled=await _unsettled(context, db, cases),
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


Half = tuple[str, CrmId | None]


async def _made(
    context: Context, db: Connection, cases: Sequence[Case], lost: Lost
) -> tuple[Mapping[Half, LinkId], Mapping[Half, AppKey]]:
    """By CRM half that a lost create made: the link of its row, which was known before; or the key of one that is gone."""
    makers, rowless = dict[Half, LinkId](), dict[Half, AppKey]()
    for mapping, named in _named(cases, lost).items():
        known = await links.by_app(db, context.name, mapping, list(named))
        known = await _likely(context, db, mapping, known, named)
        for key, (case, record) in named.items():
            link = known.get(key)
            if link is None:
                rowless[record.object, record.id] = key
            elif link.object == case.link.object and may_have_made(context, link, record):
                makers[record.object, record.id] = link.id
    return makers, rowless


async def _likely(
    context: Context,
    db: Connection,
    mapping: str,
    known: Mapping[AppKey, Link],
    named: Mapping[AppKey, tuple[Case, Record]],
) -> Mapping[AppKey, Link]:
    """Without the rows of unknown age that say something else than the record which names their key."""
    doubtful = [key for key, link in known.items() if link.lost_since == EPOCH]
    bound = context.rules.bound.mappings.get(mapping)
    if not doubtful or bound is None:
        return known
    found = await tables.read(db, context.rules.shapes[mapping], doubtful)
    others = {key for key in doubtful if key not in found or not alike(bound, found[key], named[key][1])}
    return {key: replace(link, lost_since=None) if key in others else link for key, link in known.items()}


def _named(cases: Sequence[Case], lost: Lost) -> Mapping[str, Mapping[AppKey, tuple[Case, Record]]]:
    """By mapping and key: the CRM half whose lost identity names the row; of two the older one, the other is a copy."""
    found: dict[str, dict[AppKey, tuple[Case, Record]]] = defaultdict(dict)
    for case in sorted(cases, key=age):
        if case.link.app_key is not None or not isinstance(case.crm, Record):
            continue
        row = identity_row(case.crm.identity) if lost.covers(case.crm.identity) else None
        if row is not None:
            found[row[0]].setdefault(row[1], (case, case.crm))
    return found


def may_have_made(context: Context, link: Link, record: Record) -> bool:
    """True when a lost create for this row's half may have made the record: the row was there before it."""
    if link.crm_id is not None or link.lost_since is None:
        return False
    return record.created_at is None or record.created_at >= context.crm_time(link.lost_since) - OVERLAP


async def _unsettled(context: Context, db: Connection, cases: Sequence[Case]) -> Mapping[str, Link]:
    """Where records carry no key of ours: the rows that may have made them come first."""
    objects = {case.link.object for case in cases if case.link.app_key is None}
    bare = [name for name in sorted(objects) if not context.has_identity(name)]
    if not bare or not context.gates.lost.ranges or context.gates.role.aside:  # a copy's rows are never sent
        return {}
    return await links.oldest_lost(db, context.name, bare)


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
