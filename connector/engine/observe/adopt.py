"""Adopting and merging: a case gets another half than it was found with, and is observed again as that pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from connector.core.model import AppKey, Base, CrmId, Gone, Lane, Link, LinkState, Record, Side
from connector.core.plan import MERGE_UNSENT, unsent
from connector.engine.context import Context
from connector.engine.observe.case import Case
from connector.engine.observe.observer import Observer
from connector.local import tables
from connector.store import links, match_keys
from connector.store.db import Connection

TAKEN = Gone("merged")
"""What a record is to the second row on one survivor."""


async def merge(observer: Observer, case: Case, survivor: CrmId) -> None:
    """The link follows to the survivor, unless the survivor already has a row of its own."""
    async with observer.context.database.session() as db:
        owner = (await links.by_crm(db, observer.context.name, case.link.object, [survivor])).get(survivor)
        taken = owner is not None and owner.app_key is not None and owner.id != case.link.id
        if owner is not None and taken:
            case.crm, case.contested = TAKEN, await _contested(db, case, owner)
    if not taken:
        state = LinkState.DELETED if case.link.state.tombstone else case.link.state  # to be found alive
        case.link = replace(case.link, crm_id=survivor, state=state)
        answers = await observer.context.crm.read(case.link.object, [survivor], lane=case.item.lane)
        case.crm = answers[survivor]
    await observer.situations([case])


async def adopt(observer: Observer, cases: Sequence[tuple[Case, str]]) -> None:
    """Reads the other half of each case and makes the case a pair."""
    for case, key in cases:
        half = case.link
        case.adopted = Side.CRM if half.crm_id is None else Side.APP
        assert case.mapping is not None  # noqa: S101 (only planned cases adopt)
        case.link = replace(
            half,
            mapping=case.mapping.name,
            app_key=half.app_key or AppKey(key),
            crm_id=half.crm_id or CrmId(key),
            base=_agreed_before(case, key),
            restore=next((one.restore for one in case.candidates if one.key == key), {}),
        )
    wanted = [case for case, _ in cases if case.adopted is Side.CRM]
    await observer.read_crm(wanted, {}, None)
    await _forget_dead(observer.context, [case.link for case in wanted if not isinstance(case.crm, Record)])
    await observer.read_rows([case for case, _ in cases if case.adopted is Side.APP])
    await observer.situations([case for case, _ in cases])


async def _contested(db: Connection, case: Case, owner: Link) -> bool:
    """True while the survivor's row holds unsent edits; once parked for that, until a person says go on."""
    mapping = case.rules.bound.mappings.get(owner.mapping or "")
    if case.item.cause == MERGE_UNSENT:
        return case.item.lane is not Lane.MANUAL
    if mapping is None or owner.app_key is None:
        return False
    rows = await tables.read(db, case.rules.shapes[mapping.name], [owner.app_key])
    row = rows.get(owner.app_key)
    return row is not None and unsent(mapping, owner, row)


async def _forget_dead(context: Context, halves: Sequence[Link]) -> None:
    """A record that was found by its key and is no more must not be found again."""
    for half in halves:
        async with context.change() as db:
            await match_keys.remove(db, context.name, half.object, [half.crm_id] if half.crm_id else [])


def _agreed_before(case: Case, key: str) -> Base:
    """What the row and the record agreed on under another mapping of the table; it holds for lines of the same rule."""
    behind = case.situation.left_behind if case.situation is not None and case.link.app_key is None else ()
    return next((link.base for link in behind if link.app_key == key), case.link.base)
