"""Agreement: when a value is empty, and when both sides of a line say the same."""

from __future__ import annotations

from dataclasses import replace

from connector.core.line import HeldError, Line, Refs, UnresolvedError
from connector.core.model import ABSENT, CrmValue, Json


def empty(value: CrmValue) -> bool:
    """True for null, blank text, an empty collection, a composite of only empties, and what was not in the payload."""
    if value is None or value is ABSENT:
        return True
    if isinstance(value, list):
        return all(empty(item) for item in value)
    return not value and value in ("", {})


def agrees(line: Line, app: Json, crm: CrmValue, refs: Refs) -> bool:
    """True when both sides are equal under the line's rule, whichever way it can be converted.

    A row that names one whose record was merged agrees with the survivor only where it cannot be told the survivor's row.
    """
    if crm is ABSENT:
        return False
    receives = line.direction.receives
    known = replace(refs, merged={}) if receives and refs.merged else refs
    return (receives and _same_as_app(line, app, crm, known)) or (
        line.direction.sends and _same_as_crm(line, app, crm, known)
    )


def meant(line: Line, app: Json, crm: CrmValue, refs: Refs) -> Json:
    """What the row says; where it names one whose record was merged into the one that the CRM names: that one's row."""
    if line.link is None or not refs.merged or crm is ABSENT or agrees(line, app, crm, refs):
        return app
    try:
        return line.converter.to_app(crm, refs) if _same_as_crm(line, app, crm, refs) else app
    except (HeldError, UnresolvedError):
        return app


def said_in_app(line: Line, crm: Json, refs: Refs) -> Json:
    """What a row would hold of a CRM value: an empty text is none. HeldError, UnresolvedError where it cannot."""
    return None if crm == "" else line.converter.to_app(crm, refs)


def said_in_crm(line: Line, app: Json, refs: Refs) -> Json:
    """What a record would hold of a row's value: an empty text is none. HeldError, UnresolvedError where it cannot."""
    return None if app == "" else line.converter.to_crm(app, refs)


def _same_as_app(line: Line, app: Json, crm: Json, refs: Refs) -> bool:
    try:
        return line.converter.same_app(app, said_in_app(line, crm, refs))
    except (HeldError, UnresolvedError):
        return False


def _same_as_crm(line: Line, app: Json, crm: Json, refs: Refs) -> bool:
    try:
        return line.converter.same_crm(crm, said_in_crm(line, app, refs))
    except (HeldError, UnresolvedError):
        return False
