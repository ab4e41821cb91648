"""Oscillation: two writers outside undo each other through us, and each of our writes is the next one's reason.

A write *returns* when it puts back a value that its side had before. Writes that all return, each on the other side than
the one before it, are two automations at work; so are writes on one side that undo the same drift again and again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from connector.core.line import Line
from connector.core.merge import OSCILLATION, Decision, Reason, Verdict
from connector.core.model import ABSENT, Json, Link, Side

WITHIN: Final = timedelta(minutes=10)
TIMES: Final = 6
"""So many writes within that time may return; the next one is held."""
MOVES: Final = frozenset({Verdict.SEND, Verdict.RECEIVE})


@dataclass(frozen=True, slots=True)
class Past:
    """A write of one line to one side, in that side's spelling."""

    side: Side
    old: Json
    new: Json
    drift: bool = False
    """It undid drift: nothing had changed on the side that owns the line."""


def suspects(link: Link, decisions: Iterable[Decision]) -> Sequence[Decision]:
    """The writes that may return: what our last write had replaced is in the CRM again, or drift is undone."""
    return [d for d in decisions if d.verdict in MOVES and (_drifted(d) or _is_back(link, d))]


def _is_back(link: Link, d: Decision) -> bool:
    last = next((write.lines[d.line.name] for write in reversed(link.sent) if d.line.name in write.lines), None)
    return last is not None and d.crm is not ABSENT and d.line.converter.same_crm(d.crm, last.seen)


def oscillates(d: Decision, past: Sequence[Past]) -> bool:
    """True when the decided write would go on with a run of returning writes; `past` are the last ones of its line."""
    writes = [*past, _planned(d)]
    run = 0
    for at in reversed(range(len(writes))):
        goes_on = at == len(writes) - 1 or _answered(d.line, writes[at], writes[at + 1])
        if not goes_on or not _returns(d.line, writes[:at], writes[at]):
            break
        run += 1
    return run > TIMES


def _planned(d: Decision) -> Past:
    if d.verdict is Verdict.SEND:
        return Past(Side.CRM, None if d.crm is ABSENT else d.crm, d.base.crm if d.base else None, _drifted(d))
    return Past(Side.APP, d.app, d.base.app if d.base else None, _drifted(d))


def _drifted(d: Decision) -> bool:
    return d.reason is Reason.DRIFT_UNDONE


def _returns(line: Line, before: Sequence[Past], write: Past) -> bool:
    """True when the side had the value before."""
    held = (value for each in before if each.side is write.side for value in (each.old, each.new))
    return any(_same(line, write.side, value, write.new) for value in held)


def _answered(line: Line, write: Past, following: Past) -> bool:
    """True when the one write may be why the other was made."""
    if write.side is not following.side:
        return True
    alike = _same(line, write.side, write.old, following.old) and _same(line, write.side, write.new, following.new)
    return write.drift and following.drift and alike


def _same(line: Line, side: Side, one: Json, other: Json) -> bool:
    same = line.converter.same_app if side is Side.APP else line.converter.same_crm
    return same(one, other)


def held(d: Decision) -> Decision:
    """The write is not made until a person lets it go on."""
    return Decision(d.line, Verdict.HELD, Reason.OSCILLATION, d.app, d.crm, cause=OSCILLATION)


def calmed(d: Decision, oscillating: Iterable[str], known: Mapping[str, str]) -> Decision:
    """The decision, held where the line oscillates or is held for that already."""
    stopped = d.line.name in oscillating or known.get(d.line.name) == OSCILLATION
    return held(d) if stopped and d.verdict in MOVES else d
