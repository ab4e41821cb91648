"""What a webhook said, as the JSON text that an event keeps."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from connector.core.model import CrmId
from connector.ports import Hint, HintKind

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_LONGEST = 500
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def hint_json(hint: Hint) -> str:
    """Compact JSON, read back by `hint_from_json` as an equal hint.

    ValueError when PostgreSQL could not keep it: NUL characters, lone surrogates, numbers that are none, endless depth,
    names too long for an index.
    """
    stored = {name: value for name in _OPTIONAL if (value := getattr(hint, name)) is not None}
    stored |= {"id": hint.id, "object": hint.object, "crm_id": hint.crm_id, "kind": hint.kind.value}
    if any(len(text) > _LONGEST for name, text in stored.items() if name != "identity"):
        raise ValueError("a name is too long")
    if hint.created:
        stored["created"] = True
    if hint.at is not None:
        stored["at"] = hint.at.isoformat()
    if hint.values:
        stored["values"] = dict(hint.values)
    if hint.previous:
        stored["previous"] = dict(hint.previous)
    return _checked(stored)


def hint_from_json(text: str) -> Hint:
    """The hint that `hint_json` wrote."""
    stored: dict[str, Any] = json.loads(text)
    at = stored.pop("at", None)
    return Hint(
        kind=HintKind(stored.pop("kind")),
        crm_id=CrmId(stored.pop("crm_id")),
        at=None if at is None else datetime.fromisoformat(at),
        **stored,
    )


_OPTIONAL = ("version", "actor", "source", "merged_to", "merged_from", "identity")


def _checked(stored: dict[str, Any]) -> str:
    try:
        text = _encode(stored)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not text.isascii():
        text.encode()
    if "\\u0000" in text and _NUL.search(text):
        raise ValueError("holds a NUL character")
    return text
