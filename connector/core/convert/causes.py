"""Why a value is held: the codes that `HeldError` carries from here. A metrics label, so finite and never a value."""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """A reason why a value of one side cannot be said on the other."""

    UNMAPPED_VALUE = "unmapped_value"
    """`values:` does not name it."""
    UNKNOWN_OPTION = "unknown_option"
    """No option, pipeline, stage or label of the CRM is called so, or the CRM's id is not among its definitions."""
    NOT_IN_ENUM = "not_in_enum"
    """The column's enum type has no such label."""
    UNKNOWN_USER = "unknown_user"
    INACTIVE_USER = "inactive_user"
    """The CRM refuses to assign records to a deactivated user."""
    OUT_OF_RANGE = "out_of_range"
    """The target cannot hold a value so large, so long ago, or negative."""
    NOT_AN_INTEGER = "not_an_integer"
    """A fraction for a target of whole numbers: never rounded."""
    MISSING_CURRENCY = "missing_currency"
    TOO_LONG = "too_long"
    CUT = "cut"
    """The CRM's text is one that we shortened: reading it back would lose the rest."""
    INVALID_TEXT = "invalid_text"
    """Characters that PostgreSQL cannot store: NUL, half of a surrogate pair."""
    INVALID_NUMBER = "invalid_number"
    INVALID_BOOLEAN = "invalid_boolean"
    INVALID_DATE = "invalid_date"
    INVALID_TIME = "invalid_time"
    INVALID_DURATION = "invalid_duration"
    INVALID_UUID = "invalid_uuid"
    INVALID_JSON = "invalid_json"
    INVALID_VALUE = "invalid_value"
    """Not the shape that the field type promises."""
    REFUSED_BY_COLUMN = "refused_by_column"
    """PostgreSQL cannot read it as the column's type, or it is null and the column takes none."""
    TEMPLATE_FAILED = "template_failed"
    """The template ends in an error for this record."""
