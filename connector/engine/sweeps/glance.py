"""Glance: which records of a page need no work, told by comparing values with the base alone.

A page mostly holds what is agreed already; only the rest is claimed and planned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from connector.core.line import BoundMapping
from connector.core.model import AppKey, CrmId, LinkState, Record, Row
from connector.engine.context import Context
from connector.engine.slices import in_slices
from connector.local import tables
from connector.store.db import Connection
from connector.store.links import Glance


def settled(mapping: BoundMapping, known: Glance, row: Row, record: Record) -> bool:
    """True when every line holds exactly the base on both sides, and no filter could say otherwise."""
    if known.state is not LinkState.LINKED or known.held or known.lost or mapping.only_receive or mapping.only_send:
        return False
    return all(
        known.agreed.get(line.name)
        == [line.converter.read_app(row.columns), line.converter.read_crm(record.fields), line.rule]
        for line in mapping.every_line
    )


async def unsettled(
    context: Context, db: Connection, records: Sequence[Record], known: Mapping[CrmId, Glance]
) -> Sequence[Record]:
    """The records of a page that must be reconciled."""
    rules = context.rules
    groups: dict[str, dict[AppKey, Record]] = defaultdict(dict)
    rest: list[Record] = []
    for record in records:
        link = known.get(record.id)
        if link is not None and link.app_key and link.mapping and link.mapping in rules.bound.mappings:
            groups[link.mapping][link.app_key] = record
        else:
            rest.append(record)
    for name, pairs in groups.items():
        mapping = rules.bound.mappings[name]
        rows = await tables.read(db, rules.shapes[name], pairs)
        rest += [
            record
            async for key, record in in_slices(pairs.items())
            if key not in rows or not settled(mapping, known[record.id], rows[key], record)
        ]
    return rest
