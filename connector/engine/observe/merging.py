"""Merging: links of records that were merged follow to the survivors, or learn that these have rows of their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from connector.core.match import MatchKey
from connector.core.model import AppKey, CrmId, Lane, Link, LinkId, LinkState, Side
from connector.core.plan import MERGE_UNSENT, unsent
from connector.engine.context import Context
from connector.engine.observe.case import TAKEN, Case
from connector.engine.observe.observer import Observer
from connector.local import tables
from connector.store import links

MERGED = -1
"""In the place of the number of a match rule: the key is the id of a survivor."""
Moving = Sequence[tuple[Case, CrmId]]


async def merge(observer: Observer, moving: Moving) -> None:
    """Each link follows to its survivor, unless that one has a living row of its own."""
    owners = await _owners(observer.context, moving)
    taken = [(case, owners[case.link.id]) for case, _ in moving if case.link.id in owners]
    free = [(case, survivor) for case, survivor in moving if case.link.id not in owners]
    for case, _ in taken:
        case.crm = TAKEN
    await _contest(observer.context, taken)
    for case, survivor in free:
        _follow(observer.context, case, survivor)
    await observer.read_crm([case for case, _ in free], {}, None)
    await observer.situations([case for case, _ in moving])


def _follow(context: Context, case: Case, survivor: CrmId) -> None:
    """The link is the survivor's; of two that follow to one, the first holds it. A dead one may be found alive."""
    state = LinkState.DELETED if case.link.state.tombstone else case.link.state
    case.link, case.moved = replace(case.link, crm_id=survivor, state=state), True
    case.hashes = [context.hash_of(case.link.object, MatchKey(MERGED, (survivor,)))]


async def _owners(context: Context, moving: Moving) -> Mapping[LinkId, Link]:
    """By link that would follow: the link of the survivor's own living row."""
    groups: dict[str, list[tuple[Case, CrmId]]] = defaultdict(list)
    for case, survivor in moving:
        groups[case.link.object].append((case, survivor))
    found: dict[LinkId, Link] = {}
    async with context.database.session() as db:
        for name, group in groups.items():
            known = await links.by_crm(db, context.name, name, sorted({survivor for _, survivor in group}))
            for case, survivor in group:
                owner = known.get(survivor)
                if owner is not None and owner.app_key is not None and owner.id != case.link.id:
                    found |= {case.link.id: owner} if owner.widow is not Side.CRM else {}
    return found


async def _contest(context: Context, taken: Sequence[tuple[Case, Link]]) -> None:
    """Marks the cases whose survivor's row holds unsent edits; once parked for that, until a person says go on."""
    parked = [case for case, _ in taken if case.item.cause == MERGE_UNSENT]
    for case in parked:
        case.contested = case.item.lane is not Lane.MANUAL
    asked = [(case, owner) for case, owner in taken if case.item.cause != MERGE_UNSENT]
    async with context.database.session() as db:
        for name, group in _by_mapping(asked).items():
            mapping = context.rules.bound.mappings[name]
            keys = [owner.app_key for _, owner in group if owner.app_key is not None]
            rows = await tables.read(db, context.rules.shapes[name], keys)
            for case, owner in group:
                row = rows.get(AppKey(str(owner.app_key)))
                case.contested = row is not None and unsent(mapping, owner, row)


def _by_mapping(taken: Iterable[tuple[Case, Link]]) -> Mapping[str, list[tuple[Case, Link]]]:
    groups: dict[str, list[tuple[Case, Link]]] = defaultdict(list)
    for case, owner in taken:
        if owner.mapping is not None and owner.mapping in case.rules.shapes:
            groups[owner.mapping].append((case, owner))
    return groups
