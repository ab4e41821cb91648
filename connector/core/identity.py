"""Identity: the key of ours that a CRM record carries, and which database gave it; which database we work in.

A restored database, or a copy, has given out fewer numbers than the CRM's records show: those beyond are *lost*, and the
key beside such a number may be another row's by now.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import blake2s
from typing import Final

from connector.core.model import AppKey

_NUMBER: Final = re.compile(r"[0-9]{1,18}")
"""Longer ones are not ours: somebody has typed them."""


@dataclass(frozen=True, slots=True)
class Signature:
    """How a connection signs the records that it creates: `MAPPING:KEY#INTENT.TAG`.

    A restored or copied database signs alike, for the tag is on record. Another one at work for the same account has
    another tag: what that signed names no row and no intent here.
    """

    tag: str

    @classmethod
    def of(cls, connection: str, place: Place, salt: bytes) -> Signature:
        """The signature of a connection that first worked at this place, or has this salt where the place is not unique."""
        where = salt if place.system is None else f"{place.system}/{place.database}".encode()
        return cls(blake2s(connection.encode(), key=blake2s(where).digest(), digest_size=4).hexdigest())

    def text(self, mapping: str, key: str, intent: int, longest: int | None) -> str:
        """What the identity field of a record we create holds: our key, where there is room for it, and the intent.

        `longest`: the characters that the field takes.
        """
        number = f"#{intent}.{self.tag}"
        text = f"{mapping.replace('%', '%25').replace(':', '%3A')}:{key}{number}"
        return text if longest is None or len(text) <= longest else number

    def row(self, text: str | None) -> tuple[str, AppKey] | None:
        """The mapping and the key that an identity names."""
        if text is None or self.intent(text) is None:
            return None
        mapping, _, key = text.rpartition("#")[0].partition(":")
        name = mapping.replace("%3A", ":").replace("%25", "%")
        return (name, AppKey(key)) if key else None

    def intent(self, text: str | None) -> int | None:
        """The intent that an identity names."""
        number, _, tag = (text or "").rpartition("#")[2].partition(".")
        return int(number) if tag == self.tag and _NUMBER.fullmatch(number) else None

    def highest(self, identities: Iterable[str | None]) -> int:
        """The highest intent that identities name, 0 where none does."""
        return max((number for text in identities if (number := self.intent(text)) is not None), default=0)


class Role(StrEnum):
    """What this database is to a connection.

    original: it sends · in_doubt: it may be restored or a copy, and a person must say which · copy: it only receives ·
    returning: a person said that it is the original; it sends again once everything is paired again.
    """

    ORIGINAL = "original"
    IN_DOUBT = "in_doubt"
    COPY = "copy"
    RETURNING = "returning"

    @property
    def aside(self) -> bool:
        """True while another database may be at work for the CRM account: that one must not be disturbed."""
        return self in (Role.IN_DOUBT, Role.COPY)


class Doubt(StrEnum):
    """Why nobody knows what this database is.

    moved: it is another database than the one that worked last · behind: the CRM has records of ours that it does not
    know · went_back: it forgot what this process had written.
    """

    MOVED = "moved"
    BEHIND = "behind"
    WENT_BACK = "went_back"


@dataclass(frozen=True, slots=True)
class Lost:
    """The numbers of intents that this database did not give: (after, up to and including), None without an end.

    `opened_at`: since when the last of them has no end; None when all have one.
    """

    ranges: Sequence[tuple[int, int | None]] = ()
    opened_at: datetime | None = None

    def covers(self, number: int | None) -> bool:
        """True when a record with this number was created by what this database does not know."""
        return number is not None and any(
            after < number and (until is None or number <= until) for after, until in self.ranges
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Which database this is: the cluster's system identifier (None where nobody may ask), and two numbers in it.

    A dump that is read in elsewhere differs in all three, a database made from a template in the second, a schema that is
    read in again in the third. A physical copy differs in none.
    """

    system: str | None
    database: int
    table: int

    def __str__(self) -> str:
        return f"{self.system or '-'}/{self.database}/{self.table}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """The place that `str` spelt."""
        system, database, table = text.split("/")
        return cls(None if system == "-" else system, int(database), int(table))

    def was(self, before: Place) -> bool:
        """True when this is the database that was noted `before`; one that could not be asked then may tell now."""
        alike = (self.database, self.table) == (before.database, before.table)
        return alike and before.system in (None, self.system)
