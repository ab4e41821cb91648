"""Postal addresses: the text as a person typed it, or all parts as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connector.core.convert import columns
from connector.core.convert.causes import Cause
from connector.core.convert.joint import Value
from connector.core.line import HeldError, Refs
from connector.core.model import ABSENT, CrmValue, Json

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from connector.core.schema import Column


@dataclass(frozen=True, slots=True)
class AddressText:
    """The text of an address field. Writing it sends no parts: the CRM finds them anew."""

    key: str

    def read(self, fields: Mapping[str, Json], /) -> CrmValue:
        """The text; a payload may hold it without its parts."""
        value = fields.get(self.key, ABSENT)
        return value.get("value") if isinstance(value, dict) else value

    def write(self, crm: Json, _: Mapping[str, Json], /) -> Mapping[str, Json]:
        """The text as the only part."""
        return {self.key: None if crm is None else {"value": crm}}


@dataclass(frozen=True, slots=True)
class AddressParts:
    """All parts of an address field that say something; None when there are none."""

    key: str

    def read(self, fields: Mapping[str, Json], /) -> CrmValue:
        """The filled parts; a mere text is the part `value`."""
        value = fields.get(self.key, ABSENT)
        if value is ABSENT:
            return ABSENT
        return filled(value if isinstance(value, dict) else {"value": value}) or None

    def write(self, crm: Json, _: Mapping[str, Json], /) -> Mapping[str, Json]:
        """All parts: one that is not sent would be wiped."""
        return {self.key: crm}


def filled(parts: Mapping[str, Json]) -> dict[str, Json]:
    """The parts that are neither null nor blank."""
    return {name: part for name, part in parts.items() if part not in (None, "")}


@dataclass(frozen=True, slots=True)
class AddressJson(Value):
    """A JSON object of address parts in a json or text column. Null and blank parts say nothing."""

    column: Column

    def to_crm(self, app: Json, _: Refs, /) -> Json:
        """The filled parts; the CRM demands `value`, the address as one text."""
        parts = self._parts(app)
        if parts and not isinstance(parts.get("value"), str):
            raise HeldError(Cause.INVALID_VALUE)
        return parts or None

    def to_app(self, crm: Json, _: Refs, /) -> Json:
        """JSON text of the filled parts."""
        if not isinstance(crm, dict):
            raise HeldError(Cause.INVALID_VALUE)
        return columns.fit(self.column, columns.dumped(filled(crm)))

    def app_form(self, app: Json, /) -> Hashable:
        """The filled parts."""
        return _form(self._parts(app))

    def crm_form(self, crm: Json, /) -> Hashable:
        """The filled parts."""
        if not isinstance(crm, dict):
            raise HeldError(Cause.INVALID_VALUE)
        return _form(filled(crm))

    def _parts(self, app: Json) -> dict[str, Json]:
        parts = columns.parsed(columns.spelled(app))
        if not isinstance(parts, dict):
            raise HeldError(Cause.INVALID_JSON)
        return filled(parts)


def _form(parts: Mapping[str, Json]) -> Hashable:
    return json.dumps(parts, sort_keys=True) if parts else None
