"""Doubt: what in a plan speaks for definitions of the CRM that are not as they were last read. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from connector.core.agreement import empty
from connector.core.convert.causes import Cause
from connector.core.merge import Decision, Verdict
from connector.core.model import ABSENT, Base
from connector.core.plan import Plan
from connector.core.schema import FieldType

_CHOICES: Final = (FieldType.ENUM, FieldType.SET)


def doubtful(found: Plan, base: Base) -> bool:
    """True when a field may be gone, or an option be gone or new."""
    return any(_speaks(d, base) for d in found.decisions)


def unexplained(found: Plan, told: Collection[str]) -> bool:
    """True when a choice would be emptied in the row and no event has named its field: its option may be gone."""
    return any(_loses_choice(d) and not any(field.key in told for field in d.line.fields) for d in found.decisions)


def _loses_choice(d: Decision) -> bool:
    return d.verdict is Verdict.RECEIVE and d.clears and any(field.type in _CHOICES for field in d.line.fields)


def _speaks(d: Decision, base: Base) -> bool:
    """A filled custom field is not in the record any more, a choice became none, or an option has no name."""
    known = base.get(d.line.name)
    if d.crm is ABSENT:
        return known is not None and not empty(known.crm) and any(field.custom for field in d.line.fields)
    return d.cause == Cause.UNKNOWN_OPTION or _loses_choice(d)
