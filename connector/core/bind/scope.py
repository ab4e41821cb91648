"""What binding one mapping may look at, and the list of what it found wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.core.mapping import MappingSpec, Position, Problem
from connector.core.schema import Column, CrmField, Metadata, Table
from connector.core.spelling import meant

Pins = Mapping[tuple[str, str], str]
"""(object, field name as written) → key under which the field was first seen."""


@dataclass(frozen=True, slots=True)
class Scope:
    """One mapping beside both schemas.

    `table` None: it was not found, so nothing can be said about columns; the same holds for `fields` and CRM names.
    `notes` grows while the parts of the mapping are bound.
    """

    spec: MappingSpec
    metadata: Metadata
    table: Table | None
    fields: tuple[CrmField, ...] | None
    mappings: Mapping[str, MappingSpec]
    keys: Mapping[str, Column]
    """Key column by mapping, where its table is known."""
    pins: Pins = field(default_factory=dict)
    notes: list[Problem] = field(default_factory=list)
    set_aside: list[Problem] | None = None
    """Where the problems of lines go that are left out alone; None: such a line takes its mapping with it."""

    @property
    def sound(self) -> bool:
        """True while nothing but warnings was noted."""
        return all(problem.warning for problem in self.notes)

    def keep_or_set_aside(self, before: int) -> bool:
        """False when a mistake was noted since there were `before` notes, and it concerns no more than its line."""
        if self.set_aside is None or all(problem.warning for problem in self.notes[before:]):
            return True
        self.set_aside.extend(self.notes[before:])
        del self.notes[before:]
        return False

    def wrong(self, message: str, *paths: str) -> None:
        """Notes a mistake at the first path that the file has."""
        self.notes.append(Problem(self.at(*paths), message))

    def unknown(self, message: str, *paths: str) -> None:
        """Notes a choice that the CRM lacks: a mistake; where lines are set aside, it only holds values."""
        (self.warn if self.set_aside is not None else self.wrong)(message, *paths)

    def warn(self, message: str, *paths: str) -> None:
        """Notes a warning at the first path that the file has."""
        self.notes.append(Problem(self.at(*paths), message, warning=True))

    def at(self, *paths: str) -> Position:
        """The place of the first path that the file has, else the file's first line."""
        places = self.spec.keys
        return next((places[path] for path in paths if path in places), self.spec.at)

    def column(self, name: str, *paths: str) -> Column | None:
        """The column of that name; noted where the table has none."""
        if self.table is None:
            return None
        found = self.table.columns.get(name)
        if found is None:
            where = f"{self.spec.schema}.{self.spec.table}"
            self.wrong(f"{where} has no column {name!r}{meant(name, self.table.columns)}", *paths)
        return found
