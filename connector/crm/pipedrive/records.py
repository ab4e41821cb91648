"""Records as read: API v2 and v1 bodies become one flat map of field keys, and say whether they still live."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from connector.core.model import CrmId, Gone, Json, Record
from connector.crm.pipedrive.built_in import BUILT_IN
from connector.crm.pipedrive.kinds import Kind
from connector.crm.pipedrive.spellings import SPELLERS, clock, parse

_DROPPED: Final = ("custom_fields", "is_deleted")


@dataclass(frozen=True, slots=True)
class Rows:
    """A page's rows apart: the living and the deleted."""

    records: list[Record] = field(default_factory=list)
    deleted: list[CrmId] = field(default_factory=list)


def sort(kind: Kind, rows: Iterable[Mapping[str, Json]], identity_key: str | None) -> Rows:
    """Each row as a record, or among the deleted when it says so."""
    sorted_rows = Rows()
    for row in rows:
        seen = observe(kind, row, identity_key)
        if isinstance(seen, Gone):
            sorted_rows.deleted.append(CrmId(str(row["id"])))
        else:
            sorted_rows.records.append(seen)
    return sorted_rows


def observe(kind: Kind, row: Mapping[str, Json], identity_key: str | None) -> Record | Gone:
    """The record that a body is, or the proof of deletion that it carries."""
    return proof(row) or record(kind, row, identity_key)


def proof(row: Mapping[str, Json]) -> Gone | None:
    """Positive evidence of deletion in a body (REFERENCE §4, §6.3, §7.1); v1 may say 0 and 1."""
    if row.get("is_deleted") in (True, 1):
        return Gone("is_deleted")
    if row.get("active_flag") in (False, 0):
        return Gone("active_flag")
    return Gone("status=deleted") if row.get("status") == "deleted" else None


def record(kind: Kind, row: Mapping[str, Json], identity_key: str | None) -> Record:
    """A living record."""
    fields = _flat_v1(kind, row) if kind.v1 else _flat(row)
    for key, spell in SPELLERS[kind.name].items():
        if key in fields:
            fields[key] = spell(fields[key])
    version = fields.get("update_time")
    return Record(
        object=kind.name,
        id=CrmId(str(row["id"])),
        fields=fields,
        version=version if isinstance(version, str) else None,
        modified_at=parse(version),
        created_at=parse(fields.get("add_time")),
        identity=identity_of(fields, identity_key),
        archived=row.get("is_archived") is True,
    )


def identity_of(fields: Mapping[str, Json], identity_key: str | None) -> str | None:
    """The text of the identity field, None where there is none or it is empty."""
    value = fields.get(identity_key) if identity_key else None
    return value or None if isinstance(value, str) else None


def custom_value(value: Json) -> Json:
    """A custom field's value as records hold it: a time of day is text, everything else stays (REFERENCE §8)."""
    if isinstance(value, dict) and "timezone_id" in value and "until" not in value:
        return clock(value)
    return value


def _flat(row: Mapping[str, Json]) -> dict[str, Json]:
    """v2: built-in keys as they are, custom fields beside them; `custom_fields` is null where the account has none."""
    fields = {key: value for key, value in row.items() if key not in _DROPPED}
    custom = row.get("custom_fields")
    if isinstance(custom, dict):
        fields.update((key, custom_value(value) if type(value) is dict else value) for key, value in custom.items())
    return fields


def _flat_v1(kind: Kind, row: Mapping[str, Json]) -> dict[str, Json]:
    """v1: the built-in keys only; the rest is expanded neighbours."""
    return {key: row[key] for key in BUILT_IN[kind.name] if key in row}
