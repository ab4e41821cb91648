"""What PostgreSQL's catalogue says of the application's tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

import asyncpg

from connector.core.schema import Column, Table
from connector.local import types

Connection = asyncpg.pool.PoolConnectionProxy


_RELATIONS: Final[Mapping[str, str]] = {"r": "table", "p": "table", "v": "view", "m": "view", "f": "foreign table"}

_COLUMNS = """-- Of a default without its table's number: PostgreSQL would wait for whoever keeps the table locked.
select n.nspname as schema, c.relname as name, c.relkind::text as relation, a.attname as column, a.attnum as number,
       format_type(a.atttypid, a.atttypmod) as type, a.atttypid as type_id, a.atttypmod as modifier,
       not a.attnotnull as nullable, case when a.attgenerated = '' then pg_get_expr(d.adbin, 0) end as default,
       has_column_privilege(c.oid, a.attnum, 'select') as readable,
       has_column_privilege(c.oid, a.attnum, 'update') as writable,
       a.attgenerated <> '' as generated, a.attidentity <> '' as identity,
       (select format('%I.%I', sn.nspname, s.relname) from pg_depend o join pg_class s on s.oid = o.objid
        join pg_namespace sn on sn.oid = s.relnamespace
        where o.classid = 'pg_class'::regclass and o.refclassid = 'pg_class'::regclass and o.refobjid = c.oid
          and o.refobjsubid = a.attnum and o.deptype in ('a', 'i') and s.relkind = 'S' limit 1) as sequence
from unnest($1::text[], $2::text[]) wanted(schema, name)
join pg_namespace n on n.nspname = wanted.schema
join pg_class c on c.relnamespace = n.oid and c.relname = wanted.name and c.relkind in ('r', 'p', 'v', 'm', 'f')
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
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
    relations: dict[tuple[str, str], str] = {}
    found = await db.fetch(_COLUMNS, schemas, names)
    known = await types.load(db, {row["type_id"] for row in found})
    for row in found:
        place = (row["schema"], row["name"])
        relations[place] = _RELATIONS[row["relation"]]
        columns.setdefault(place, {})[row["column"]] = _column(row, known)
    primary: dict[tuple[str, str], tuple[str, ...]] = {}
    foreign: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
    for row in await db.fetch(_KEYS, schemas, names):
        place = (row["schema"], row["name"])
        if row["kind"] == "p":
            primary[place] = tuple(row["columns"])
        elif len(row["columns"]) == 1:
            foreign.setdefault(place, {})[row["columns"][0]] = (row["foreign_schema"], row["foreign_name"])
    return {
        place: Table(place[0], place[1], each, primary.get(place, ()), foreign.get(place, {}), relations[place])
        for place, each in columns.items()
    }


def _column(row: asyncpg.Record, known: types.Types) -> Column:
    default = row["default"]
    if row["identity"]:
        default = f"nextval({quote_literal(row['sequence'])}::regclass)"
    plain = types.column(known, row["column"], row["type"], row["type_id"], row["modifier"])
    return replace(
        plain,
        nullable=plain.nullable and row["nullable"],
        default=default or plain.default,
        readable=row["readable"],
        writable=row["writable"],
        generated=row["generated"],
        identity=row["identity"],
        number=row["number"],
    )


def quote_ident(name: str) -> str:
    """A name as an SQL identifier, taken literally."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """A text as an SQL literal."""
    escaped = text.replace("'", "''")
    return f"E'{escaped.replace(chr(92), chr(92) * 2)}'" if "\\" in escaped else f"'{escaped}'"
