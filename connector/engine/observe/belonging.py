"""Belonging: which of the mappings of its object a CRM record belongs to."""

from __future__ import annotations

from collections.abc import Iterable

from connector.core.filter import crm_reader, failing
from connector.core.line import BoundMapping
from connector.core.model import Record
from connector.engine.context import Rules
from connector.engine.observe.case import Case
from connector.engine.observe.lookup import Lookup


def belongs_to(case: Case) -> BoundMapping | None:
    """The mapping of a case: a CRM half belongs to the first in file order whose filter it passes, else to the first."""
    if case.link.mapping is not None:
        return case.rules.bound.mappings.get(case.link.mapping)
    choices = [m for m in case.rules.of_object(case.link.object) if m.hears]
    if len(choices) < 2 or not isinstance(case.crm, Record):  # noqa: PLR2004
        return choices[0] if choices else None
    return _taker(case.rules, choices, case.crm) or choices[0]


def heir(case: Case, mapping: BoundMapping, lookup: Lookup) -> str | None:
    """The mapping that a linked record belongs to when it has left the filter of its own."""
    others = [m for m in case.rules.of_object(case.link.object) if m.hears and m.name != mapping.name]
    if not others or case.link.app_key is None or not isinstance(case.crm, Record):
        return None
    read = crm_reader(case.rules.metadata.fields.get(mapping.object, ()), case.rules.metadata, case.crm.fields)
    left = mapping.direction.receives and failing(mapping.only_receive, read, lookup.linked_in) is not None
    found = _taker(case.rules, others, case.crm) if left else None
    return found.name if found is not None else None


def _taker(rules: Rules, choices: Iterable[BoundMapping], record: Record) -> BoundMapping | None:
    """The first of the mappings whose filter the record passes; where it points to is not looked at."""
    read = crm_reader(rules.metadata.fields.get(record.object, ()), rules.metadata, record.fields)
    return next((m for m in choices if failing(m.only_receive, read, lambda _m, _v: True) is None), None)
