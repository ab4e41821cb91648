"""How a converter is put together: an app side, a CRM side, and a value between them.

Every converter of a line is one `Joint`; the families differ in their parts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from connector.core.line import HeldError, Refs

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from connector.core.model import CrmValue, Json


class AppSide(Protocol):
    """The columns of a line as one value. Reading is total."""

    def read(self, columns: Mapping[str, str | None], /) -> Json:
        """The app spelling; None for null, and for an empty collection."""
        ...

    def write(self, app: Json, /) -> Mapping[str, str | None]:
        """The columns that say `app`; empty for a side that is only a source."""
        ...


class CrmSide(Protocol):
    """The CRM fields of a line as one value. Reading is total."""

    def read(self, fields: Mapping[str, Json], /) -> CrmValue:
        """The CRM spelling; ABSENT when a field is missing, None for null and for an empty collection."""
        ...

    def write(self, crm: Json, current: Mapping[str, Json], /) -> Mapping[str, Json]:
        """The fields that say `crm`, given the record's `current` ones; empty for a side that is only a source."""
        ...


class Value(ABC):
    """A conversion between spellings that are not null. Errors: HeldError, UnresolvedError.

    The forms are canonical: equal exactly when two spellings of that side mean the same.
    """

    __slots__ = ()

    @abstractmethod
    def to_crm(self, app: Json, refs: Refs, /) -> Json:
        """The app's value in the CRM's spelling."""

    @abstractmethod
    def to_app(self, crm: Json, refs: Refs, /) -> Json:
        """The CRM's value in the app's spelling."""

    @abstractmethod
    def app_form(self, app: Json, /) -> Hashable:
        """The canonical form of an app spelling."""

    @abstractmethod
    def crm_form(self, crm: Json, /) -> Hashable:
        """The canonical form of a CRM spelling."""

    def alike(self, one: object, other: object, /) -> bool:
        """True when two canonical forms of the CRM side count as the same."""
        return one == other


@dataclass(frozen=True, slots=True)
class Joint:
    """The converter of a line (`connector.core.line.Converter`): reading is total, null stays null."""

    app: AppSide
    crm: CrmSide
    value: Value

    def read_app(self, columns: Mapping[str, str | None], /) -> Json:
        """See Converter."""
        return self.app.read(columns)

    def read_crm(self, fields: Mapping[str, Json], /) -> CrmValue:
        """See Converter."""
        return self.crm.read(fields)

    def to_crm(self, app: Json, refs: Refs, /) -> Json:
        """See Converter."""
        return None if _null(app) else self.value.to_crm(app, refs)

    def to_app(self, crm: Json, refs: Refs, /) -> Json:
        """See Converter."""
        return None if _null(crm) else self.value.to_app(crm, refs)

    def write_app(self, app: Json, /) -> Mapping[str, str | None]:
        """See Converter."""
        return self.app.write(None if _null(app) else app)

    def write_crm(self, crm: Json, current: Mapping[str, Json], /) -> Mapping[str, Json]:
        """See Converter."""
        return self.crm.write(None if _null(crm) else crm, current)

    def same_app(self, one: Json, other: Json, /) -> bool:
        """See Converter."""
        if one == other:
            return True
        forms = _forms(self.value.app_form, one, other)
        return forms is not None and forms[0] == forms[1]

    def same_crm(self, one: Json, other: Json, /) -> bool:
        """See Converter."""
        if one == other:
            return True
        forms = _forms(self.value.crm_form, one, other)
        return forms is not None and self.value.alike(*forms)


def _null(value: Json) -> bool:
    return value is None or (isinstance(value, list) and all(item is None for item in value))


def _forms(form: Callable[[Json], object], one: Json, other: Json) -> tuple[object, object] | None:
    """Both canonical forms, None for null; None when one of them is no proper spelling, so that it equals nothing."""
    try:
        return (None if _null(one) else form(one)), (None if _null(other) else form(other))
    except HeldError:
        return None
