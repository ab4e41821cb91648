"""PostgreSQL's types as column kinds: what a domain is in the end, what an enum may say, what an array holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import asyncpg

from connector.core.schema import Column

Types = Mapping[int, asyncpg.Record]
"""By oid."""

KINDS: Final[Mapping[str, str]] = {
    "bool": "boolean",
    "int2": "integer",
    "int4": "integer",
    "int8": "integer",
    "numeric": "number",
    "float4": "number",
    "float8": "number",
    "date": "date",
    "time": "time",
    "interval": "interval",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    "uuid": "uuid",
    "json": "json",
    "jsonb": "json",
    "text": "text",
    "varchar": "text",
    "bpchar": "text",
    "citext": "text",
    "name": "text",
}

_HEADER: Final = 4
"""Bytes that a varchar's modifier counts beside its characters."""

_TYPES = """
with recursive reached as (
    select t.* from pg_type t where t.oid = any($1::oid[])
    union
    select t.* from pg_type t join reached r
      on t.oid = case when r.typtype = 'd' then r.typbasetype when r.typcategory = 'A' then r.typelem end
)
select r.oid, r.typname as name, r.typtype::text as sort, r.typcategory::text as category, r.typnotnull as not_null,
       r.typdefault as default, r.typbasetype as base, r.typtypmod as modifier,
       format_type(r.typbasetype, r.typtypmod) as base_type, r.typelem as element,
       format_type(r.typelem, -1) as element_type,
       array(select e.enumlabel::text from pg_enum e where e.enumtypid = r.oid order by e.enumsortorder) as labels
from reached r
"""


async def load(db: asyncpg.pool.PoolConnectionProxy[Any], wanted: Iterable[int]) -> Types:
    """The types and all that they are made of."""
    return {row["oid"]: row for row in await db.fetch(_TYPES, sorted(wanted))}


def column(known: Types, name: str, spelled: str, oid: int, modifier: int) -> Column:
    """A column of that type. A domain counts as what it is made of, but is written as itself."""
    nullable, default, base = True, None, spelled
    while known[oid]["sort"] == "d":
        domain = known[oid]
        nullable, default = nullable and not domain["not_null"], default or domain["default"]
        oid, modifier, base = domain["base"], domain["modifier"], domain["base_type"]
    found = known[oid]
    return Column(
        name,
        spelled,
        _kind(found),
        nullable=nullable,
        default=default,
        max_length=modifier - _HEADER if found["name"] in ("varchar", "bpchar") and modifier > _HEADER else None,
        base=base,
        labels=tuple(found["labels"]),
        element=_element(known, found, name, base, modifier),
    )


def _element(known: Types, found: asyncpg.Record, name: str, spelled: str, modifier: int) -> Column | None:
    if found["category"] != "A":
        return None
    limited = modifier >= 0  # then only the array's own spelling tells it: character varying(5)[]
    element = spelled.removesuffix("[]") if limited else found["element_type"]
    return column(known, name, element, found["element"], modifier)


def _kind(found: asyncpg.Record) -> str:
    if found["category"] == "A":
        return "array"
    return "enum" if found["sort"] == "e" else KINDS.get(found["name"], "other")
