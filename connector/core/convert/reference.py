"""Values that name a CRM record: by the row it is linked to, by its id, or by a user's id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connector.core.convert import columns
from connector.core.convert.causes import Cause
from connector.core.convert.joint import Value
from connector.core.line import HeldError, Refs
from connector.core.model import AppKey, CrmId, Json

if TYPE_CHECKING:
    from collections.abc import Hashable

    from connector.core.convert.choice import Choices
    from connector.core.schema import Column


@dataclass(frozen=True, slots=True)
class Reference(Value):
    """The key of a row of another mapping against the id of its CRM record. UnresolvedError while that link is half."""

    mapping: str
    column: Column

    def to_crm(self, app: Json, refs: Refs, /) -> Json:
        """The CRM id of the row's record."""
        return refs.crm_id(self.mapping, AppKey(columns.fit(self.column, columns.spelled(app))))

    def to_app(self, crm: Json, refs: Refs, /) -> Json:
        """The key of the record's row."""
        return columns.fit(self.column, refs.app_key(self.mapping, CrmId(columns.spelled(crm))))

    def app_form(self, app: Json, /) -> Hashable:
        """The key."""
        return columns.meaning(self.column, columns.spelled(app))

    def crm_form(self, crm: Json, /) -> Hashable:
        """The id."""
        return columns.spelled(crm)


@dataclass(frozen=True, slots=True)
class Id(Value):
    """A CRM id in a column. `users`: it must be one of them to be sent, and active; nobody is known → not checked."""

    column: Column
    users: Choices | None = None

    def to_crm(self, app: Json, _: Refs, /) -> Json:
        """The id as text."""
        text = self._id(app)
        if self.users is not None and self.users.shown:
            self.users.word_of(text)
            if text in self.users.inactive:
                raise HeldError(Cause.INACTIVE_USER)
        return text

    def to_app(self, crm: Json, _: Refs, /) -> Json:
        """The id in the column's spelling."""
        return columns.fit(self.column, columns.spelled(crm))

    def app_form(self, app: Json, /) -> Hashable:
        """The id as text."""
        return self._id(app)

    def crm_form(self, crm: Json, /) -> Hashable:
        """The id as text."""
        return columns.spelled(crm)

    def _id(self, app: Json) -> str:
        return columns.fit(self.column, columns.spelled(app)).strip()
