"""Kinship: records that carry the key of another record of ours, and where they come from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from connector.core.identity import Lost, identity_row
from connector.core.model import AppKey, CrmId, Lane, LinkId, Observed, Record
from connector.core.plan import Kin
from connector.engine.context import Context
from connector.engine.observe.case import Case
from connector.store import links

Original = tuple[str, CrmId]


async def find_kin(context: Context, cases: Sequence[Case], lost: Lost) -> Mapping[LinkId, Kin]:
    """By link, what a record is whose identity names a row that is linked to another record.

    The CRM's own copying copies the identity as it is. Another number means another create of ours for the same row,
    unless it is one that this database has lost: its key may be another row's by now.
    """
    foreign = [(case, row) for case in cases if (row := _named_row(context, case)) is not None]
    if not foreign:
        return {}
    originals = await _originals(context, foreign)
    records = await _read(context, set(originals.values()), foreign[0][0].item.lane)
    kin = {link: _kin(link, originals, records, cases) for link in originals}
    reused = {case.link.id for case, _ in foreign if isinstance(case.crm, Record) and lost.covers(case.crm.identity)}
    return {link: one for link, one in kin.items() if one is Kin.COPY or link not in reused}


def _named_row(context: Context, case: Case) -> tuple[str, AppKey] | None:
    """The row that the case's record names as its own, where that is not the case's."""
    if not isinstance(case.crm, Record) or not context.has_identity(case.link.object):
        return None
    named = identity_row(case.crm.identity)
    return named if named != (case.link.mapping, case.link.app_key) else None


async def _originals(context: Context, foreign: Sequence[tuple[Case, tuple[str, AppKey]]]) -> Mapping[LinkId, Original]:
    """By link, the record to which the named row is linked."""
    keys: dict[str, set[AppKey]] = defaultdict(set)
    for _, (mapping, key) in foreign:
        keys[mapping].add(key)
    async with context.database.session() as db:
        owners = {m: await links.by_app(db, context.name, m, sorted(wanted)) for m, wanted in keys.items()}
    found: dict[LinkId, Original] = {}
    for case, (mapping, key) in foreign:
        owner = owners[mapping].get(key)
        same = owner is None or owner.object != case.link.object or owner.crm_id == case.link.crm_id
        if owner is not None and owner.crm_id is not None and not same:
            found[case.link.id] = (owner.object, owner.crm_id)
    return found


async def _read(context: Context, wanted: set[Original], lane: Lane) -> Mapping[Original, Observed]:
    found: dict[Original, Observed] = {}
    for name in sorted({name for name, _ in wanted}):
        ids = sorted(crm_id for each, crm_id in wanted if each == name)
        answers = await context.crm.read(name, ids, lane=lane)
        found |= {(name, crm_id): answers[crm_id] for crm_id in ids}
    return found


def _kin(
    link: LinkId, originals: Mapping[LinkId, Original], records: Mapping[Original, Observed], cases: Sequence[Case]
) -> Kin:
    original = records[originals[link]]
    record = next(case.crm for case in cases if case.link.id == link)
    twins = isinstance(original, Record) and isinstance(record, Record) and original.identity != record.identity
    return Kin.TWIN if twins else Kin.COPY
