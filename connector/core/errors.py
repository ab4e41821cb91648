"""What went wrong, told by what the caller must do about it. Adapters translate into these at their edge.

Messages carry codes and field names, never values.
"""

from __future__ import annotations

from datetime import datetime

from connector.core.mapping import Problem


class ConnectorError(Exception):
    """Any failure with a sentence for people; `advice` says what to do."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message, self.advice = message, advice


class UnavailableError(ConnectorError):
    """Try again later: network, 5xx, time-out before anything was sent, HTML from a gateway."""


class RateLimitedError(ConnectorError):
    """Too fast or budget spent: nothing before `until` (None: back off). `daily` tells budget from burst."""

    def __init__(self, message: str, *, until: datetime | None = None, daily: bool = False) -> None:
        super().__init__(message)
        self.until, self.daily = until, daily


class UnauthorisedError(ConnectorError):
    """Credentials refused (401): hold the connection until a person reconnects."""


class ForbiddenError(ConnectorError):
    """The account may not do this call (403 with a JSON body)."""


class AccountExpiredError(ConnectorError):
    """The CRM account is not paid (402): hold the connection, probe slowly."""


class RefusedError(ConnectorError):
    """The request was understood and refused (400/422). `fields` are the field keys the answer names."""

    def __init__(self, message: str, *, fields: tuple[str, ...] = (), code: str = "") -> None:
        super().__init__(message)
        self.fields, self.code = fields, code


class CursorExpiredError(ConnectorError):
    """A paging or change cursor is no longer valid: list again from the start."""


class SchemaMovedError(ConnectorError):
    """A table of the app is not what was last seen: it is looked at again, then the record is tried again."""


class NotOwnerError(ConnectorError):
    """Another process owns the connection now: nothing may be written any more."""


class ReadOnlyError(ConnectorError):
    """A write was asked of a read-only connection: a defect, refused before it leaves."""


class MappingSetError(ConnectorError):
    """The mapping set cannot be used; `problems` say where and why."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
