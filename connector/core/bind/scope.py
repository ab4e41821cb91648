"""What binding one mapping may look at, and the list of what it found wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.core.mapping import MappingSpec, Position, Problem
from connector.core.pins import Pin, Pins
from connector.core.schema import Column, CrmField, Metadata, Table
from connector.core.spelling import meant


@dataclass(slots=True)
class Met:
    """What binding a mapping met: the pins as they will be, and the lines that left or changed."""

    fields: dict[str, Pin] = field(default_factory=dict)
    columns: dict[str, Pin] = field(default_factory=dict)
    words: dict[str, dict[str, str]] = field(default_factory=dict)
    options: dict[str, tuple[str, ...]] = field(default_factory=dict)
    aside: dict[str, str] = field(default_factory=dict)
    """Line → why it is set aside."""
    changed: set[str] = field(default_factory=set)
    """Lines that are taken although what they name is not what it was."""
    incomplete: bool = False
    """A line that is set aside fills a column that every new row needs."""
    moves: int = 0
    """How often a name stood for something else than before."""


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
    pins: Pins = field(default_factory=Pins)
    met: Met = field(default_factory=Met)
    notes: list[Problem] = field(default_factory=list)
    set_aside: list[Problem] | None = None
    """Where the problems of lines go that are left out alone; None: such a line takes its mapping with it."""

    @property
    def sound(self) -> bool:
        """True while nothing but warnings was noted."""
        return all(problem.warning for problem in self.notes)

    def keep_or_set_aside(self, name: str, before: tuple[int, int]) -> bool:
        """False when a mistake was noted since the `mark` before, and it concerns no more than the line of this name."""
        notes, moves = before
        wrong = [problem for problem in self.notes[notes:] if not problem.warning]
        if self.set_aside is None or not wrong:
            if self.met.moves > moves:
                self.met.changed.add(name)
            return True
        self.met.aside[name] = wrong[0].message
        self.set_aside.extend(self.notes[notes:])
        del self.notes[notes:]
        return False

    @property
    def mark(self) -> tuple[int, int]:
        """How much was noted until now."""
        return len(self.notes), self.met.moves

    @property
    def place(self) -> str:
        """The table's name, as pins hold it."""
        return f"{self.spec.schema}.{self.spec.table}"

    def returns(self, name: str) -> int:
        """How often the line has returned, this time included."""
        before = self.pins.standing(self.spec.name, name)
        return before.returns + (before.aside is not None or name in self.met.changed)

    def returned_before(self, name: str) -> int:
        """How often the line had returned until now."""
        return self.pins.standing(self.spec.name, name).returns

    def pinned(self, before: Pin | None, now: Pin, what: str, *paths: str) -> Pin:
        """The pin from now on; noted where the name stood for something else.

        Under a running set another type is a mistake until it is what it was again, and another thing of the same type
        one for a moment; who changes the files takes both as they are.
        """
        if before is None or before == now:
            return now
        self.met.moves += 1
        running = self.set_aside is not None
        say = self.wrong if running else self.warn
        if before.type != now.type:
            say(f"{what} was {before.type} when it was first seen and is {now.type} now", *paths)
            return Pin(now.key, before.type) if running else now
        say(f"{what} is another one than before, of the same name", *paths)
        return now

    def wrong(self, message: str, *paths: str) -> None:
        """Notes a mistake at the first path that the file has."""
        self.notes.append(Problem(self.at(*paths), message))

    def unknown(self, message: str, *paths: str) -> None:
        """Notes a choice that the CRM lacks: a mistake; where lines are set aside, it only holds values."""
        (self.warn if self.set_aside is not None else self.wrong)(message, *paths)

    def moved(self, message: str, *paths: str) -> None:
        """Notes what a person has to mend on one side: a mistake under a running set, else a warning."""
        (self.wrong if self.set_aside is not None else self.warn)(message, *paths)

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
        found, before = self.table.columns.get(name), self.pins.columns.get(self.place, {}).get(name)
        if found is not None:
            now = Pin(str(found.number), found.kind)
            self.met.columns[name] = self.pinned(before, now, f"column {name!r}", *paths)
            return found
        self.wrong(f"{self.place} has no column {name!r}{meant(name, self.table.columns)}", *paths)
        if before is not None:
            self.met.columns[name] = before
        return None
