"""CRM arrays that several lines share: e-mails, phones, labels. A line changes its own part, neighbours stay.

Every `write` starts from `current`, which may already hold what another line made of the array, so lines compose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from connector.core.convert.sides import as_id, as_ids
from connector.core.model import ABSENT, CrmValue, Json

if TYPE_CHECKING:
    from collections.abc import Mapping

_LABEL: Final = "work"
"""What the CRM itself gives an element without a label."""


@dataclass(frozen=True, slots=True)
class Primary:
    """The value of the primary element."""

    key: str

    def read(self, fields: Mapping[str, Json], /) -> CrmValue:
        """The primary value; the first where none is marked; None when there is none."""
        value = fields.get(self.key, ABSENT)
        if value is ABSENT:
            return ABSENT
        held = elements(value)
        return held[0]["value"] if held else None

    def write(self, crm: Json, current: Mapping[str, Json], /) -> Mapping[str, Json]:
        """The array with `crm` as its primary.

        Null removes the primary and the next becomes it. A value that is there already becomes primary, the old one
        stays behind it. Else the primary's value is replaced, its label kept.
        """
        held = elements(current.get(self.key))
        if crm is None:
            return {self.key: _marked(held[1:])}
        found = next((item for item in held if _alike(item["value"], crm)), None)
        if found is not None:
            return {self.key: _marked([found | {"value": crm}, *(item for item in held if item is not found)])}
        first = held[0] if held else {"label": _LABEL}
        return {self.key: _marked([first | {"value": crm}, *held[1:]])}


@dataclass(frozen=True, slots=True)
class AllValues:
    """All values of the array, the primary first."""

    key: str

    def read(self, fields: Mapping[str, Json], /) -> CrmValue:
        """The values; None when there are none."""
        value = fields.get(self.key, ABSENT)
        return ABSENT if value is ABSENT else [item["value"] for item in elements(value)] or None

    def write(self, crm: Json, current: Mapping[str, Json], /) -> Mapping[str, Json]:
        """The array of these values; one that stays keeps label and primacy."""
        held = elements(current.get(self.key))
        new = [_kept(value, held) for value in (crm if isinstance(crm, list) else [])]
        first = next((item for item in new if held and item["value"] == held[0]["value"]), None)
        return {self.key: _marked(new if first is None else [first, *(item for item in new if item is not first)])}


@dataclass(frozen=True, slots=True)
class OneLabel:
    """One label of a record that may have more: the first of `mine`, or the first at all. The others stay."""

    key: str
    mine: frozenset[str] | None = None

    def read(self, fields: Mapping[str, Json], /) -> CrmValue:
        """The label's id; None when there is none."""
        value = fields.get(self.key, ABSENT)
        return ABSENT if value is ABSENT else next((label for label in _labels(value) if self._owns(label)), None)

    def write(self, crm: Json, current: Mapping[str, Json], /) -> Mapping[str, Json]:
        """The labels with this one in place of the old one."""
        held = _labels(current.get(self.key))
        old = self.read(current)
        kept: list[Json] = [label for label in held if label not in (old, crm)]
        at = held.index(old) if old in held else 0
        new: list[Json] = [] if crm is None else [crm]
        return {self.key: [*kept[:at], *new, *kept[at:]]}

    def _owns(self, label: Json) -> bool:
        return self.mine is None or label in self.mine


@dataclass(frozen=True, slots=True)
class OptionSet:
    """A field of several options: sorted ids; null when there are none."""

    key: str

    def read(self, fields: Mapping[str, Json], /) -> CrmValue:
        """The sorted ids."""
        value = fields.get(self.key, ABSENT)
        return ABSENT if value is ABSENT else as_ids(value)

    def write(self, crm: Json, _: Mapping[str, Json], /) -> Mapping[str, Json]:
        """The ids."""
        return {self.key: crm}


def elements(value: Json) -> list[dict[str, Any]]:
    """The elements that have a value, the primary first; values without blanks around them."""
    items = value if isinstance(value, list) else []
    filled = [
        item if item["value"] == text else item | {"value": text}
        for item in items
        if isinstance(item, dict) and (text := str(item.get("value") or "").strip())
    ]
    return sorted(filled, key=lambda item: not item.get("primary")) if len(filled) > 1 else filled


def _labels(value: Json) -> list[Json]:
    items = value if isinstance(value, list) else [value]
    return [as_id(item) for item in items if item not in (None, "")]


def _marked(items: list[dict[str, Any]]) -> Json:
    return [item | {"primary": at == 0} for at, item in enumerate(items)]


def _kept(value: Json, held: list[dict[str, Any]]) -> dict[str, Any]:
    found = next((item for item in held if _alike(item["value"], value)), {"label": _LABEL})
    return found | {"value": value}


def _alike(one: str, other: Json) -> bool:
    return one.casefold() == str(other).strip().casefold()
