"""Adopting: a half gets the other half that its plan asks for, and is observed again as that pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from connector.core.model import AppKey, Base, CrmId, Link, Record, Side
from connector.engine.context import Context
from connector.engine.observe.case import Case
from connector.engine.observe.observer import Observer
from connector.engine.observe.referring import find_referring
from connector.store import match_keys


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
    await find_referring(observer.context, [case for case, key in cases if _widowed(case, key)])
    await observer.situations([case for case, _ in cases])


async def _forget_dead(context: Context, halves: Sequence[Link]) -> None:
    """A record that was found by its key and is no more must not be found again."""
    for half in halves:
        async with context.change() as db:
            await match_keys.remove(db, context.name, half.object, [half.crm_id] if half.crm_id else [])


def _widowed(case: Case, key: str) -> bool:
    return case.adopted is Side.APP and any(one.widowed for one in case.candidates if one.key == key)


def _agreed_before(case: Case, key: str) -> Base:
    """What the row and the record agreed on under another mapping of the table; it holds for lines of the same rule."""
    behind = case.situation.left_behind if case.situation is not None and case.link.app_key is None else ()
    return next((link.base for link in behind if link.app_key == key), case.link.base)
