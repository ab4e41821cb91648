"""Mappings of one object that share a table: a row that the app makes another kind takes its record along."""

from __future__ import annotations

from dataclasses import replace

from connector.core.line import BoundMapping
from connector.core.model import ABSENT, Base, Pair, Record, Row
from connector.core.plan.filters import row_kept_out, side_that_left
from connector.core.plan.situation import Situation


def row_taker(s: Situation, row: Row) -> BoundMapping | None:
    """The mapping to which the row goes now that its own does not send it any more."""
    if not s.mapping.direction.sends or row_kept_out(s, row) is None:
        return None
    return next((m for m in s.siblings if row_kept_out(replace(s, mapping=m), row) is None), None)


def bequest(s: Situation, taker: BoundMapping, row: Row, record: Record) -> Base | None:
    """What is agreed on there already, if the record can follow; it cannot if it would leave again at once.

    Lines of the same rule go on where they were. What the taker's `set` says is to be sent.
    """
    found = dict(s.link.base)
    for line in taker.constants:
        held = line.converter.read_crm(record.fields)
        found[line.name] = Pair(None, None if held is ABSENT else held, line.rule)
    there = replace(s, mapping=taker, link=replace(s.link, base=found))
    return found if side_that_left(there, row, record) is None else None
