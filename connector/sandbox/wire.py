"""JSON and time as they go over the wire (REFERENCE of the API: conventions of v1 and v2)."""

import json
import re
from datetime import UTC, datetime
from typing import Any, TypeAlias

Json: TypeAlias = Any  # a decoded JSON value
Record: TypeAlias = dict[str, Any]  # a decoded JSON object

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.0+)?(Z|[+-]\d\d:\d\d)")


def dumps(value: Json) -> bytes:
    """Compact UTF-8 JSON."""
    return _ENCODER.encode(value).encode()


def seconds(at: datetime) -> str:
    """Spell a moment as v2 does: RFC 3339, UTC, whole seconds; sorts like the moment itself."""
    return at.astimezone(UTC).isoformat(timespec="seconds")[:19] + "Z"


def millis(at: datetime) -> str:
    """Spell a moment as webhooks do: RFC 3339, UTC, milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")[:23] + "Z"


def spaced(stamp: str) -> str:
    """Respell a v2 stamp as v1 does: ``YYYY-MM-DD HH:MM:SS``, UTC, no zone mark."""
    return stamp.replace("T", " ").removesuffix("Z")


def unspaced(stamp: str) -> str:
    """Respell a v1 stamp as v2 does."""
    return stamp.replace(" ", "T") + "Z"


def parse_seconds(text: str) -> str:
    """Normalise an RFC 3339 text in whole seconds; ValueError on anything else, a fraction included."""
    if not _RFC3339.fullmatch(text):
        raise ValueError(text)
    return seconds(datetime.fromisoformat(text))
