"""The lines of one link: what both sides hold of each, and what is decided about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from connector.core.line import Line
from connector.core.merge import Decision, Grounds, Inputs, decide
from connector.core.model import ABSENT, Record
from connector.core.oscillation import calmed
from connector.core.plan.situation import Situation
from connector.core.review import reviewed


def decide_lines(
    s: Situation, lines: Iterable[Line], record: Record | None, *, sendable: bool = True
) -> tuple[Decision, ...]:
    """The decision about each of these lines."""
    lost = s.link.lost_since is not None
    grounds = Grounds(s.clocks, replace(s.refs, now=s.now), s.unreachable, s.dead, sendable=sendable, lost=lost)
    stopped = bool(s.oscillating or s.link.held or s.link.conflicts)
    rule = partial(_stopped, s) if stopped else decide
    return tuple(rule(line, _inputs(s, line, record, grounds)) for line in lines)


def _stopped(s: Situation, line: Line, given: Inputs) -> Decision:
    """The decision; where a person is to settle a conflict, or to let an oscillation go on, it waits for that."""
    found, before = decide(line, given), s.link.conflicts.get(line.name)
    found = found if before is None else reviewed(line, given, found, before)
    return calmed(found, s.oscillating, s.link.held)


def _inputs(s: Situation, line: Line, record: Record | None, grounds: Grounds) -> Inputs:
    """What is held of a line. What the record of a new row does not tell is empty."""
    app = None
    if s.row is not None or not line.columns:
        app = line.converter.read_app(s.row.columns if s.row is not None else {})
    crm = line.converter.read_crm(record.fields) if record is not None else None
    if s.row is None and crm is ABSENT:
        crm = None
    return Inputs(app, crm, s.link.base.get(line.name), grounds)
