"""Glance: which records of a page need no work, told by comparing values with the base alone.

A page mostly holds what is agreed already; only the rest is claimed and planned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from connector.core.line import BoundMapping
from connector.core.model import AppKey, CrmId, Link, LinkState, Record, Row
from connector.engine.context import Context
from connector.local import tables
from connector.store.db import Connection


def settled(mapping: BoundMapping, link: Link, row: Row, record: Record) -> bool:
    """True when every line holds exactly the base on both sides, and no filter could say otherwise."""
    if link.state is not LinkState.LINKED or link.held or mapping.only_receive or mapping.only_send:
        return False
    for line in mapping.every_line:
        pair = link.base.get(line.name)
        if pair is None or pair.rule != line.rule:
            return False
        if line.converter.read_crm(record.fields) != pair.crm or line.converter.read_app(row.columns) != pair.app:
            return False
    return True


async def unsettled(
    context: Context, db: Connection, records: Sequence[Record], known: Mapping[CrmId, Link]
) -> Sequence[Record]:
    """The records of a page that must be reconciled."""
    rules = context.rules
    groups: dict[str, list[tuple[Link, Record]]] = defaultdict(list)
    rest: list[Record] = []
    for record in records:
        link = known.get(record.id)
        mapped = link is not None and link.mapping in rules.bound.mappings and link.app_key is not None
        if link is not None and link.mapping is not None and mapped:
            groups[link.mapping].append((link, record))
        else:
            rest.append(record)
    for name, pairs in groups.items():
        rows = await tables.read(db, rules.shapes[name], [AppKey(str(link.app_key)) for link, _ in pairs])
        mapping = rules.bound.mappings[name]
        rest += [r for link, r in pairs if not _same(mapping, link, rows.get(AppKey(str(link.app_key))), r)]
    return rest


def _same(mapping: BoundMapping, link: Link, row: Row | None, record: Record) -> bool:
    return row is not None and settled(mapping, link, row, record)
