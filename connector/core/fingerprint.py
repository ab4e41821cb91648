"""Fingerprint: does a record look like what a create of ours sent, where the CRM's records carry no key of ours?

What is read later may differ from what was sent without being another record: the CRM trims, reformats, rounds and
sanitises, and what a reference points to may be deleted meanwhile. Somebody may also have edited the record at once:
such a one may be ours, and nobody can tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import IntEnum
from typing import Final

from connector.core.agreement import agrees, empty
from connector.core.convert.html import plain
from connector.core.line import BoundMapping, Line, Refs
from connector.core.model import ABSENT, Base, CrmValue, Json, Record, Row
from connector.core.schema import FieldType

UNKNOWN_FOR: Final = timedelta(seconds=60)
"""A time-out may be applied late: only a read begun this long after sending proves that it was not."""
OVERLAP: Final = timedelta(seconds=5)
"""What the CRM's clock may be wrong, its whole seconds included, when its times are compared with our sending."""
CENT: Final = Decimal("0.01")
REFERENCES: Final = frozenset({FieldType.ORG, FieldType.PERSON, FieldType.DEAL, FieldType.LEAD})


class Likeness(IntEnum):
    """other: not ours · edited: ours at most if somebody changed it since · alike: holds all that was sent."""

    OTHER = 0
    EDITED = 1
    ALIKE = 2


@dataclass(frozen=True, slots=True, order=True)
class Resemblance:
    """How like a record is to what was sent; it belongs to the create that it resembles most.

    First the verdict, then how few lines are not exactly as sent (`deviation` counts down from 0), then how many are.
    """

    likeness: Likeness = Likeness.OTHER
    deviation: int = 0
    exact: int = 0


def resemblance(mapping: BoundMapping, sent: Base, record: Record, sent_at: datetime) -> Resemblance:
    """How like a record is to a create sent at `sent_at` of the CRM's clock. One that was there before is not."""
    made = record.created_at
    lines = [line for line in mapping.every_line if line.name in sent and sent[line.name].crm is not None]
    if not lines or (made is not None and made < sent_at - OVERLAP):
        return Resemblance()
    fitting = [line for line in lines if _fits(line, sent[line.name].crm, record)]
    exact = sum(_holds(line, sent[line.name].crm, record) for line in fitting)
    if len(fitting) == len(lines):
        return Resemblance(Likeness.ALIKE, exact - len(lines), exact)
    own = any(line in fitting for line in mapping.lines)
    if own and 2 * len(fitting) >= len(lines) and _edited_since(record, sent_at):
        return Resemblance(Likeness.EDITED, exact - len(lines), exact)
    return Resemblance()


def alike(mapping: BoundMapping, row: Row, record: Record) -> bool:
    """True when a row and a record say the same in half of the lines that both fill; references aside."""
    values = [
        (line, line.converter.read_app(row.columns), line.converter.read_crm(record.fields))
        for line in mapping.lines
        if line.link is None
    ]
    filled = [one for one in values if not empty(one[1]) and not empty(one[2])]
    same = sum(agrees(line, app, crm, Refs()) for line, app, crm in filled)
    return bool(filled) and 2 * same >= len(filled)


def holds_all(mapping: BoundMapping, sent: Base, replaced: Mapping[str, Json], record: Record) -> bool:
    """True when the record shows every value that was sent, as the CRM spells it."""
    held = [(line, line.converter.read_crm(record.fields)) for line in mapping.every_line if line.name in sent]
    return all(
        value is ABSENT or arrived(line, sent[line.name].crm, replaced.get(line.name, ABSENT), value)
        for line, value in held
    )


def arrived(line: Line, sent: Json, replaced: CrmValue, held: Json) -> bool:
    """True when what is held is what was sent, as the CRM spells it. What was there before is no spelling."""
    if line.converter.same_crm(held, sent):
        return True
    unmoved = replaced is not ABSENT and line.converter.same_crm(held, replaced)
    return spelt_alike(held, sent) and not unmoved


def spelt_alike(held: CrmValue, sent: Json) -> bool:
    """True when a value is what was sent but for how a CRM spells."""
    return held is not ABSENT and _near(held, sent)


def _edited_since(record: Record, sent_at: datetime) -> bool:
    """True when the record was made while the create could still be applied, and changed later."""
    if record.created_at is None or record.modified_at is None:
        return False
    return record.created_at <= sent_at + UNKNOWN_FOR + OVERLAP and record.modified_at > record.created_at


def _fits(line: Line, value: Json, record: Record) -> bool:
    held = line.converter.read_crm(record.fields)
    lost = held is None and any(field.type in REFERENCES for field in line.fields)
    return lost or _holds(line, value, record) or (held is not ABSENT and _near(held, value))


def _holds(line: Line, value: Json, record: Record) -> bool:
    held = line.converter.read_crm(record.fields)
    return held is ABSENT or line.converter.same_crm(held, value)


def _near(one: Json, other: Json) -> bool:
    """Equal but for how a CRM spells: a cent, case, blanks, punctuation and markup aside."""
    if isinstance(one, list) and isinstance(other, list):
        return _all_near(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and _all_near(list(one.values()), list(other.values()))
    numbers = _number(one), _number(other)
    if numbers[0] is not None and numbers[1] is not None:
        return abs(numbers[0] - numbers[1]) <= CENT
    return isinstance(one, str) and isinstance(other, str) and _letters(one) == _letters(other)


def _all_near(some: Sequence[Json], others: Sequence[Json]) -> bool:
    return len(some) == len(others) and all(_near(one, other) for one, other in zip(some, others, strict=True))


def _number(value: Json) -> Decimal | None:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _letters(text: str) -> str:
    """The letters and digits that a reader sees, or all but blanks where there are none."""
    seen = plain(text).casefold()
    return "".join(filter(str.isalnum, seen)) or "".join(seen.split())
