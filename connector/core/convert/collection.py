"""Several values in one array or json column: options of a set, all e-mail addresses. Order says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connector.core.convert import columns
from connector.core.convert.causes import Cause
from connector.core.convert.joint import Value
from connector.core.line import HeldError, Refs

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from connector.core.model import Json


@dataclass(frozen=True, slots=True)
class Elements(Value):
    """JSON text of a list against a list; each element by `element`. Empty is null; one held element holds them all."""

    element: Value
    ordered: bool = False
    """The CRM's list keeps the app's order; else it is sorted."""

    def to_crm(self, app: Json, refs: Refs, /) -> Json:
        """The elements in the CRM's spelling, each once."""
        sent = [self.element.to_crm(item, refs) for item in _words(app)]
        once: list[Json] = [item for at, item in enumerate(sent) if item is not None and item not in sent[:at]]
        return (once if self.ordered else sorted(once, key=str)) or None

    def to_app(self, crm: Json, refs: Refs, /) -> Json:
        """JSON text of the elements in the app's spelling."""
        if not isinstance(crm, list):
            raise HeldError(Cause.INVALID_VALUE)
        return columns.dumped([self.element.to_app(item, refs) for item in crm])

    def app_form(self, app: Json, /) -> Hashable:
        """The set of the elements' forms; None when there are none."""
        return _set(self.element.app_form, _words(app))

    def crm_form(self, crm: Json, /) -> Hashable:
        """The set of the elements' forms; None when there are none."""
        if not isinstance(crm, list):
            raise HeldError(Cause.INVALID_VALUE)
        return _set(self.element.crm_form, crm)


def _set(form: Callable[[Json], object], items: list[Json]) -> Hashable:
    return frozenset(form(item) for item in items) or None


def _words(app: Json) -> list[Json]:
    """The elements as texts; nulls among them say nothing."""
    items = columns.parsed(columns.spelled(app))
    if not isinstance(items, list) or any(isinstance(item, list | dict) for item in items):
        raise HeldError(Cause.INVALID_JSON)
    return [columns.spelled(item) for item in items if item is not None]
