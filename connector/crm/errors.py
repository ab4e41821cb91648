"""An answer that is not a success, translated into what the caller must do (statuses as HTTP means them)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from connector.core.errors import (
    AccountExpiredError,
    ConnectorError,
    ForbiddenError,
    RefusedError,
    UnauthorisedError,
    UnavailableError,
)
from connector.crm.http import Answer

GONE: Final = (404, 410)
MISSING: Final = "missing"
"""`RefusedError.code` of a write to a record that is not there."""
SERVER: Final = 500
NOT_IMPLEMENTED: Final = 501
_CALL: Final = (405, 415, NOT_IMPLEMENTED)


@dataclass(frozen=True, slots=True)
class Complaint:
    """What an error body names, freed of every value: a code of the vendor, keys of fields."""

    code: str = ""
    fields: tuple[str, ...] = ()


def failure(endpoint: str, answer: Answer, complaint: Complaint) -> ConnectorError:
    """The error that an answer other than a success and 429 amounts to; a 2xx whose body says failure is a refusal."""
    return _BY_STATUS.get(answer.status, _other)(_text(endpoint, answer, complaint), answer, complaint)


def _text(endpoint: str, answer: Answer, complaint: Complaint) -> str:
    said = "HTML" if answer.html else complaint.code
    named = f": {', '.join(complaint.fields)}" if complaint.fields else ""
    return f"{endpoint}: {answer.status}{' ' if said else ''}{said}{named}"


def _unauthorised(text: str, _answer: Answer, _complaint: Complaint) -> ConnectorError:
    return UnauthorisedError(text)


def _expired(text: str, _answer: Answer, _complaint: Complaint) -> ConnectorError:
    return AccountExpiredError(text)


def _forbidden(text: str, answer: Answer, complaint: Complaint) -> ConnectorError:
    """A field that may not be written is refused alone; else it is the call that may not be made."""
    if answer.html:
        return UnavailableError(text)
    named = complaint.fields
    return RefusedError(text, fields=named, code="forbidden") if named else ForbiddenError(text)


def _missing(text: str, _answer: Answer, complaint: Complaint) -> ConnectorError:
    return RefusedError(text, fields=complaint.fields, code=MISSING)


def _uncallable(text: str, _answer: Answer, _complaint: Complaint) -> ConnectorError:
    return ForbiddenError(text)


def _other(text: str, answer: Answer, complaint: Complaint) -> ConnectorError:
    refused = answer.status < HTTPStatus.MULTIPLE_CHOICES or HTTPStatus.BAD_REQUEST <= answer.status < SERVER
    if refused and answer.status != HTTPStatus.REQUEST_TIMEOUT:
        return RefusedError(text, fields=complaint.fields, code=complaint.code or str(answer.status))
    return UnavailableError(text)


_BY_STATUS: Final[dict[int, Callable[[str, Answer, Complaint], ConnectorError]]] = {
    401: _unauthorised,
    402: _expired,
    403: _forbidden,
    **dict.fromkeys(GONE, _missing),
    **dict.fromkeys(_CALL, _uncallable),
}
