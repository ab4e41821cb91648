"""Columns that a mapping fills with values of its own, `set.app` and `deletes.set`."""

from __future__ import annotations

from datetime import datetime

from connector.core.convert.columns import spelled
from connector.core.mapping import Keyword, SetValue
from connector.core.model import Link, Row


def constant(value: SetValue, now: datetime) -> str | None:
    """A `set.app` or `deletes.set` value in PostgreSQL's text spelling."""
    if value is Keyword.NOW:
        return now.isoformat(sep=" ")
    if value is Keyword.NULL or value is None:
        return None
    return spelled(value)


def cleared(link: Link, row: Row) -> dict[str, str | None]:
    """Takes back what `deletes.set` wrote into a row, where it still holds that."""
    return {name: undo.was for name, undo in link.restore.items() if row.columns.get(name) == undo.wrote}
