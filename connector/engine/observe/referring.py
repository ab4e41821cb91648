"""Referring: the links of rows that refer to a row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from connector.core.line import Line
from connector.core.model import AppKey, LinkId, LinkState
from connector.engine.context import Context
from connector.engine.observe.case import Case
from connector.local import tables
from connector.store import links
from connector.store.db import Connection


def lines_towards(context: Context, target: str) -> Sequence[tuple[str, Line]]:
    """The lines of running mappings whose columns hold keys of a mapping, each with the name of its own."""
    running = [mapping for mapping in context.rules.bound.mappings.values() if not mapping.observed]
    return [(mapping.name, line) for mapping in running for line in mapping.lines if line.link == target]


async def referring(
    context: Context, db: Connection, lines: Sequence[tuple[str, Line]], keys: Collection[AppKey]
) -> Sequence[tuple[AppKey, LinkId]]:
    """(row that one of these lines refers to, link of the row that refers to it)."""
    found: list[tuple[AppKey, LinkId]] = []
    for name, line in lines:
        rows = await tables.referring(db, context.rules.shapes[name], line.columns[0], keys)
        known = await links.by_app(db, context.name, name, list(rows))
        alive = (link for link in known.values() if link.state is LinkState.LINKED and link.crm_id is not None)
        found += [(rows[link.app_key], link.id) for link in alive if link.app_key is not None]
    return found


async def find_referring(context: Context, cases: Sequence[Case]) -> None:
    """Tells each case who refers to its row: what they say of the record that it had, they are to say of its next one."""
    groups: dict[str, dict[AppKey, Case]] = defaultdict(dict)
    for case in cases:
        if case.link.app_key is not None:
            groups[str(case.link.mapping)][case.link.app_key] = case
    if not groups:
        return
    async with context.database.session() as db:
        for target, rows in groups.items():
            lines = [(name, line) for name, line in lines_towards(context, target) if line.direction.sends]
            for key, link in await referring(context, db, lines, list(rows)):
                rows[key].referring = [*rows[key].referring, link]
