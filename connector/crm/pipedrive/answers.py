"""What Pipedrive says besides data: error bodies (REFERENCE §10) and the headers of the budget (§11.3).

Only codes and field keys pass; a message of the server may quote a value, so nothing else of it is kept.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Final

from connector.core.model import Json
from connector.crm.errors import Complaint
from connector.crm.http import Answer
from connector.crm.ledger import Told

_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_HASH: Final = re.compile(r"\b[0-9a-f]{40}\b")
LONGEST: Final = 3600.0
"""Longest wait in seconds that a header may ask for."""
_UNIX_TIME: Final = 1e9
_PREFIX: Final = re.compile(r"^[^:;]*validation failed\s*:", re.IGNORECASE)


def complaint(answer: Answer, known: Collection[str]) -> Complaint:
    """The code and the field keys that an error body names; of keys only `known` ones and those of custom fields."""
    try:
        body = answer.json()
    except ValueError:
        return Complaint()
    if not isinstance(body, dict):
        return Complaint()
    named = dict.fromkeys(key for key in _named(body) if key in known or _HASH.fullmatch(key))
    return Complaint(_code(body), tuple(named))


def _code(body: Mapping[str, Json]) -> str:
    code = body.get("code")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _named(body: Mapping[str, Json]) -> Iterator[str]:
    """Field keys in both documented shapes: "Validation failed: <key>: <reason>; …" and `errors: {key: [reason]}`."""
    errors = body.get("errors")
    if isinstance(errors, dict):
        yield from errors
    for text in (body.get("error"), body.get("message")):
        if not isinstance(text, str):
            continue
        for part in _PREFIX.sub("", text).split(";"):
            yield part.partition(":")[0].strip().removeprefix("custom_fields.").partition(".")[0]
        yield from _HASH.findall(text)


def told(headers: Mapping[str, str], now: datetime) -> Told:
    """What the headers say about the budget; a header that is missing or unreadable says nothing."""
    return Told(
        limit=_whole(headers, "x-ratelimit-limit"),
        remaining=_whole(headers, "x-ratelimit-remaining"),
        reset=_seconds(headers, "x-ratelimit-reset", now) or _seconds(headers, "Retry-After", now),
        daily_limit=_number(headers, "x-daily-ratelimit-token-limit"),
        daily_remaining=_number(headers, "x-daily-ratelimit-token-remaining"),
    )


def date(headers: Mapping[str, str]) -> datetime | None:
    """The `Date` of an answer, aware; None when there is none to trust."""
    return _moment(headers.get("Date", ""))


def _moment(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def _seconds(headers: Mapping[str, str], name: str, now: datetime) -> float | None:
    """How long to wait: seconds as documented, else a unix time or a date; not for ever whatever it says."""
    told, at = _number(headers, name), _moment(headers.get(name, ""))
    if told is not None and told >= _UNIX_TIME:
        told -= now.timestamp()
    elif told is None and at is not None:
        told = (at - now).total_seconds()
    return None if told is None else min(max(told, 0.0), LONGEST)


def _number(headers: Mapping[str, str], name: str) -> float | None:
    try:
        number = float(headers[name])
    except (KeyError, ValueError):
        return None
    return number if isfinite(number) and number >= 0 else None


def _whole(headers: Mapping[str, str], name: str) -> int | None:
    number = _number(headers, name)
    return None if number is None else int(number)
