"""Plain text, and text fields that hold something typed (a number in a text field)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from connector.core.convert import columns
from connector.core.convert.causes import Cause
from connector.core.convert.joint import Value
from connector.core.line import HeldError, Refs
from connector.core.mapping import TooLong

if TYPE_CHECKING:
    from collections.abc import Hashable

    from connector.core.model import Json
    from connector.core.schema import Column

MARK: Final = "…"
"""Ends a text that was cut; counts towards the limit."""


@dataclass(frozen=True, slots=True)
class Text(Value):
    """A text in both spellings. Received, it must fit the column; sent, the field's `limit`.

    With `too_long` cut, a longer text is sent shortened and marked; what bears the mark is never read back, and a long
    text is the same as its cut form.
    """

    column: Column
    limit: int | None = None
    too_long: TooLong = TooLong.HOLD

    def to_crm(self, app: Json, _: Refs, /) -> Json:
        """The text, cut if need be."""
        text = columns.spelled(app)
        if self.limit is not None and len(text) > self.limit and self.too_long is TooLong.HOLD:
            raise HeldError(Cause.TOO_LONG)
        return self._cut(text)

    def to_app(self, crm: Json, _: Refs, /) -> Json:
        """The text in the column's spelling."""
        text = columns.spelled(crm)
        if self.too_long is TooLong.CUT and text.endswith(MARK):
            raise HeldError(Cause.CUT)
        return columns.fit(self.column, text)

    def app_form(self, app: Json, /) -> Hashable:
        """What the column's text means; of long texts, the cut form."""
        return columns.meaning(self.column, self._cut(columns.spelled(app)))

    def crm_form(self, crm: Json, /) -> Hashable:
        """What the text means to the column, else the text."""
        text = self._cut(columns.spelled(crm))
        try:
            return columns.meaning(self.column, text)
        except HeldError:
            return columns.newlines(text)

    def _cut(self, text: str) -> str:
        if self.limit is None or self.too_long is TooLong.HOLD or len(text) <= self.limit:
            return text
        return text[: max(self.limit - len(MARK), 0)] + MARK


@dataclass(frozen=True, slots=True)
class Address(Value):
    """An e-mail address or a phone number as typed: exact but for blanks around it. Matching compares canonically."""

    column: Column

    def to_crm(self, app: Json, _: Refs, /) -> Json:
        """The text without blanks around it; blank is null."""
        return columns.spelled(app).strip() or None

    def to_app(self, crm: Json, _: Refs, /) -> Json:
        """The text without blanks around it, fit for the column."""
        return columns.fit(self.column, columns.spelled(crm).strip())

    def app_form(self, app: Json, /) -> Hashable:
        """The text without blanks around it."""
        return columns.spelled(app).strip() or None

    def crm_form(self, crm: Json, /) -> Hashable:
        """The text without blanks around it."""
        return columns.spelled(crm).strip() or None


@dataclass(frozen=True, slots=True)
class Boolean(Value):
    """A truth value; columns: boolean, text (PostgreSQL's words), integer (0 and 1)."""

    column: Column

    def to_crm(self, app: Json, _: Refs, /) -> Json:
        """JSON true or false."""
        return columns.boolean(columns.spelled(app))

    def to_app(self, crm: Json, _: Refs, /) -> Json:
        """The column's word for it."""
        truth = columns.boolean(columns.spelled(crm))
        if self.column.kind == "integer":
            return str(int(truth))
        return columns.fit(self.column, "true" if truth else "false")

    def app_form(self, app: Json, /) -> Hashable:
        """The truth value."""
        return columns.boolean(columns.spelled(app))

    def crm_form(self, crm: Json, /) -> Hashable:
        """The truth value."""
        return columns.boolean(columns.spelled(crm))
