"""Pins: what the names of the mapping files stood for when they were first seen.

A field that was renamed is followed by its key, an option by its id. What was deleted, or has another type now, is set
aside with its line alone; a line that returns meets every record as at first sight, and overwrites nothing. So does a line
whose field lost an option: that records are empty now is nobody's edit. Values only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from connector.core.schema import CrmField, Metadata

Nested = Mapping[str, Mapping[str, "Pin"]]


@dataclass(frozen=True, slots=True)
class Pin:
    """What a name stood for: `key` of the CRM field or number of the column, and the type of either."""

    key: str
    type: str


@dataclass(frozen=True, slots=True)
class Standing:
    """One line: how often it returned, and why it is set aside now, if it is."""

    returns: int = 0
    aside: str | None = None


@dataclass(frozen=True, slots=True)
class Pins:
    """All pins of a connection.

    `fields`: object → name as written · `columns`: schema.table → column · `words`: object → key of the field → word as
    written → id of the option · `lines`: mapping → line, of those that are or were set aside · `options`: object → key of
    the field → ids of its options.
    """

    fields: Nested = field(default_factory=dict)
    columns: Nested = field(default_factory=dict)
    words: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)
    lines: Mapping[str, Mapping[str, Standing]] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def standing(self, mapping: str, line: str) -> Standing:
        """How a line stands."""
        return self.lines.get(mapping, {}).get(line, Standing())

    def returned(self, before: Pins) -> frozenset[str]:
        """The mappings of lines that meet every record as at first sight since then, and are not set aside."""
        now = ((mapping, name, line) for mapping, lines in self.lines.items() for name, line in lines.items())
        return frozenset(
            mapping
            for mapping, name, line in now
            if line.aside is None and line.returns > before.standing(mapping, name).returns
        )

    @property
    def aside(self) -> Mapping[tuple[str, str], str]:
        """(mapping, line) → why it is set aside."""
        return {
            (mapping, name): line.aside
            for mapping, lines in self.lines.items()
            for name, line in lines.items()
            if line.aside is not None
        }


def former_words(metadata: Metadata, pins: Pins) -> Metadata:
    """The definitions with the words under which options are pinned beside those that they have now."""
    fields = {
        name: tuple(_remembering(each, pins.words.get(name, {}).get(each.key, {})) for each in known)
        for name, known in metadata.fields.items()
    }
    return replace(metadata, fields=fields)


def _remembering(known: CrmField, words: Mapping[str, str]) -> CrmField:
    options = tuple(replace(o, former=tuple(sorted(_former(o.id, o.label, words)))) for o in known.options)
    return known if options == known.options else replace(known, options=options)


def _former(option: str, label: str, words: Mapping[str, str]) -> Iterable[str]:
    return (word for word, pinned in words.items() if pinned == option and word != label)
