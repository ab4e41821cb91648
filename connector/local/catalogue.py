"""What PostgreSQL's catalogue says of the application's tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import asyncpg

from connector.core.schema import Column, Table

Connection = asyncpg.pool.PoolConnectionProxy


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
    "timetz": "time",
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

_COLUMNS = """
select n.nspname as schema, c.relname as name, a.attname as column, a.attnum as number,
       format_type(a.atttypid, a.atttypmod) as type,
       coalesce(b.typname, t.typname) as base, t.typcategory::text as category, t.typtype::text as typtype,
       not a.attnotnull as nullable, pg_get_expr(d.adbin, d.adrelid) as default,
       a.attgenerated <> '' as generated, a.attidentity <> '' as identity,
       case when t.typname in ('varchar', 'bpchar') and a.atttypmod > 4 then a.atttypmod - 4 end as max_length,
       (select format('%I.%I', sn.nspname, s.relname) from pg_depend o join pg_class s on s.oid = o.objid
        join pg_namespace sn on sn.oid = s.relnamespace
        where o.classid = 'pg_class'::regclass and o.refclassid = 'pg_class'::regclass and o.refobjid = c.oid
          and o.refobjsubid = a.attnum and o.deptype in ('a', 'i') and s.relkind = 'S' limit 1) as sequence
from unnest($1::text[], $2::text[]) wanted(schema, name)
join pg_namespace n on n.nspname = wanted.schema
join pg_class c on c.relnamespace = n.oid and c.relname = wanted.name and c.relkind in ('r', 'p')
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid
left join pg_type b on b.oid = t.typbasetype and t.typtype = 'd'
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
order by n.nspname, c.relname, a.attnum
"""

_KEYS = """
select n.nspname as schema, c.relname as name, k.contype::text as kind,
       array(select a.attname::text from unnest(k.conkey) with ordinality u(num, pos)
             join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.num order by u.pos) as columns,
       fn.nspname as foreign_schema, f.relname as foreign_name
from unnest($1::text[], $2::text[]) wanted(schema, name)
join pg_namespace n on n.nspname = wanted.schema
join pg_class c on c.relnamespace = n.oid and c.relname = wanted.name
join pg_constraint k on k.conrelid = c.oid and k.contype in ('p', 'f')
left join pg_class f on f.oid = k.confrelid
left join pg_namespace fn on fn.oid = f.relnamespace
"""


async def describe(db: Connection, wanted: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], Table]:
    """The tables that exist among those wanted, by (schema, name)."""
    pairs = sorted(set(wanted))
    schemas, names = [schema for schema, _ in pairs], [name for _, name in pairs]
    columns: dict[tuple[str, str], dict[str, Column]] = {}
    for row in await db.fetch(_COLUMNS, schemas, names):
        columns.setdefault((row["schema"], row["name"]), {})[row["column"]] = _column(row)
    primary: dict[tuple[str, str], tuple[str, ...]] = {}
    foreign: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
    for row in await db.fetch(_KEYS, schemas, names):
        place = (row["schema"], row["name"])
        if row["kind"] == "p":
            primary[place] = tuple(row["columns"])
        elif len(row["columns"]) == 1:
            foreign.setdefault(place, {})[row["columns"][0]] = (row["foreign_schema"], row["foreign_name"])
    return {
        place: Table(place[0], place[1], found, primary.get(place, ()), foreign.get(place, {}))
        for place, found in columns.items()
    }


def _column(row: Any) -> Column:  # noqa: ANN401
    default = row["default"]
    if row["identity"]:
        default = f"nextval({quote_literal(row['sequence'])}::regclass)"
    return Column(
        row["column"],
        row["type"],
        _kind(row),
        nullable=row["nullable"],
        default=default,
        generated=row["generated"],
        identity=row["identity"],
        max_length=row["max_length"],
        number=row["number"],
    )


def _kind(row: Any) -> str:  # noqa: ANN401
    if row["category"] == "A":
        return "array"
    if row["typtype"] == "e":
        return "enum"
    return KINDS.get(row["base"], "other")


def quote_ident(name: str) -> str:
    """A name as an SQL identifier, taken literally."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """A text as an SQL literal."""
    escaped = text.replace("'", "''")
    return f"E'{escaped.replace(chr(92), chr(92) * 2)}'" if "\\" in escaped else f"'{escaped}'"
