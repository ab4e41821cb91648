"""Echoes: an event that says only what both sides agree on already costs no read.

Never by user or source: others write under the same token.
"""

from __future__ import annotations

from connector.core.line import BoundMapping
from connector.core.model import ABSENT, Link, LinkState
from connector.core.unseen import Told, heard
from connector.engine.context import Rules
from connector.ports import CRM, Hint, HintKind, VersionOrder


def is_echo(crm: CRM, rules: Rules, link: Link, hint: Hint) -> bool:
    """True when the event's changed keys already equal the base and its version is absent or not newer."""
    mapping = rules.bound.mappings.get(link.mapping or "")
    if mapping is None or link.state is not LinkState.LINKED or hint.kind is not HintKind.CHANGED or link.held:
        return False
    known = hint.version is None or crm.compare(hint.version, link.version) in (VersionOrder.OLDER, VersionOrder.SAME)
    return known and _says_nothing_new(mapping, link, hint)


def _says_nothing_new(mapping: BoundMapping, link: Link, hint: Hint) -> bool:
    changed = set(hint.values) if hint.created else set(hint.previous)
    if not changed or changed & {condition.place for condition in mapping.only_receive}:
        return False
    for line in mapping.every_line:
        if not changed.intersection(f.key for f in line.fields):
            continue
        held = line.converter.read_crm(hint.values)
        pair = link.base.get(line.name)
        if pair is None or held is ABSENT or not line.converter.same_crm(held, pair.crm):
            return False
    return not link.sent or not _overwrote(mapping, link, hint)


def _overwrote(mapping: BoundMapping, link: Link, hint: Hint) -> bool:
    """True when the event is the echo of a write that put away what nobody had seen."""
    lines = {line.name: line for line in mapping.lines}
    return bool(heard(lines, link.sent, [Told(hint.values, hint.previous, hint.at)]).overwrites)
