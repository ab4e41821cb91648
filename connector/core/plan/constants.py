"""Columns that a mapping fills with values of its own, `set.app` and `deletes.set`."""

from __future__ import annotations

from datetime import datetime

from connector.core.convert.columns import spelled
from connector.core.mapping import Keyword, SetValue


def constant(value: SetValue, now: datetime) -> str | None:
    """A `set.app` or `deletes.set` value in PostgreSQL's text spelling."""
    if value is Keyword.NOW:
        return now.isoformat(sep=" ")
    if value is Keyword.NULL or value is None:
        return None
    return spelled(value)


def same_constant(held: str | None, written: str | None) -> bool:
    """True when a column still holds what `set` wrote."""
    return held is not None and (held == written)
