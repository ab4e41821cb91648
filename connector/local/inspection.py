"""What the database still lacks for a mapping: grants, triggers, indexes. Reads the catalogue only.

Each answer is what a person has to run, or nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from connector.local.capture import Capture
from connector.local.catalogue import Connection, quote_ident
from connector.local.tables import Shape

EVENTS = ("ins", "upd", "del", "tru")


@dataclass(frozen=True, slots=True)
class Needs:
    """What a mapping does to its table. `columns` are those it writes to existing rows."""

    shape: Shape
    columns: tuple[str, ...]
    inserts: bool = False
    deletes: bool = False


@dataclass(frozen=True, slots=True)
class Triggers:
    """The capture triggers of a table by what became of them."""

    missing: Sequence[str]
    disabled: Sequence[str]


_OID = """
select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = $2
"""
_SEQUENCE = """
select format('%I.%I', n.nspname, s.relname) from pg_depend d join pg_class s on s.oid = d.objid
join pg_namespace n on n.oid = s.relnamespace
join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
where d.refobjid = $1 and a.attname = $2 and d.deptype in ('a', 'i')
  and case when s.relkind = 'S' then not has_sequence_privilege(s.oid, 'usage') end
"""


async def grants(db: Connection, needs: Needs) -> Sequence[str]:
    """The GRANT statements that an owner of the table should run for the current user."""
    shape = needs.shape
    user = quote_ident(await db.fetchval("select current_user"))
    table = await db.fetchval(_OID, shape.table.schema, shape.table.name)
    found = []
    if not await db.fetchval("select has_schema_privilege($1, 'usage')", shape.table.schema):
        found.append(f"GRANT USAGE ON SCHEMA {quote_ident(shape.table.schema)} TO {user};")
    rights = [*await _rights(db, table, needs), *await _update(db, table, needs.columns)]
    if rights:
        found.append(f"GRANT {', '.join(rights)} ON {shape.sql_name} TO {user};")
    sequence = await db.fetchval(_SEQUENCE, table, shape.key) if needs.inserts else None
    if sequence is not None:
        found.append(f"GRANT USAGE ON SEQUENCE {sequence} TO {user};")
    return found


async def _rights(db: Connection, table: int, needs: Needs) -> Sequence[str]:
    """The rights on the whole table that are missing."""
    wanted = ["SELECT", "TRIGGER", *(["INSERT"] if needs.inserts else []), *(["DELETE"] if needs.deletes else [])]
    rows = await db.fetch("select p, has_table_privilege($1::oid, p) as ok from unnest($2::text[]) p", table, wanted)
    return [row["p"] for row in rows if not row["ok"]]


async def _update(db: Connection, table: int, columns: Iterable[str]) -> Sequence[str]:
    """UPDATE of the columns that may not be written yet."""
    rows = await db.fetch(
        "select c from unnest($2::text[]) c where not has_column_privilege($1::oid, c, 'update') order by 1",
        table,
        sorted(columns),
    )
    return [f"UPDATE ({', '.join(quote_ident(row['c']) for row in rows)})"] if rows else []


async def schema_grants(db: Connection) -> Sequence[str]:
    """What schema `connector` needs: leave to make it, or to work as the role that made it."""
    user = quote_ident(await db.fetchval("select current_user"))
    owner = await db.fetchval("select pg_get_userbyid(nspowner) from pg_namespace where nspname = 'connector'")
    if owner is not None:
        usable = await db.fetchval("select pg_has_role($1, 'usage')", owner)
        return [] if usable else [f"GRANT {quote_ident(owner)} TO {user};"]
    if await db.fetchval("select has_database_privilege(current_database(), 'create')"):
        return []
    database = quote_ident(await db.fetchval("select current_database()"))
    return [f"GRANT CREATE ON DATABASE {database} TO {user};"]


async def migrated(db: Connection) -> bool:
    """True when schema `connector` was made, whoever may look into it."""
    return bool(
        await db.fetchval(
            """select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                              where n.nspname = 'connector' and c.relname = 'migration')"""
        )
    )


async def holds(db: Connection, table: str, column: str) -> bool:
    """True when a table of our schema has the column, and we may read it: the schema may be older than this program."""
    return bool(
        await db.fetchval(
            """select coalesce((select has_column_privilege(c.oid, a.attnum, 'select') from pg_class c
                   join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
                   where n.nspname = 'connector' and c.relname = $1 and a.attname = $2 and not a.attisdropped), false)""",
            table,
            column,
        )
    )


async def triggers(db: Connection, capture: Capture) -> Triggers:
    """Which capture triggers of a mapping are not there, and which are switched off."""
    names = [f"{capture.name} {event}" for event in EVENTS]
    rows = await db.fetch(
        """select g.tgname::text as name, g.tgenabled in ('O', 'A') as enabled
           from pg_trigger g join pg_class c on c.oid = g.tgrelid join pg_namespace n on n.oid = c.relnamespace
           where n.nspname = $1 and c.relname = $2 and g.tgname = any($3::text[])""",
        capture.shape.table.schema,
        capture.shape.table.name,
        names,
    )
    state = {row["name"]: row["enabled"] for row in rows}
    return Triggers([n for n in names if n not in state], [n for n in names if not state.get(n, True)])


async def indexed(db: Connection, shape: Shape, expression: str) -> bool:
    """True when PostgreSQL finds rows by `expression` (SQL over `t`) without reading the whole table."""
    async with db.transaction():
        await db.execute("set local enable_seqscan = off")
        plan = await db.fetchval(f"explain (format json) select 1 from {shape.sql_name} t where {expression} = 'x'")
    return any("Index Cond" in node for node in _nodes(json.loads(plan)[0]["Plan"]))


def _nodes(plan: dict[str, object]) -> Iterable[dict[str, object]]:
    yield plan
    children = plan.get("Plans", [])
    for child in children if isinstance(children, list) else []:
        yield from _nodes(child)


async def rows_about(db: Connection, shape: Shape) -> int:
    """Roughly how many rows the table has, as PostgreSQL's statistics say."""
    found = await db.fetchval(
        "select greatest(reltuples, 0)::bigint from pg_class where oid = to_regclass($1)", shape.sql_name
    )
    return int(found or 0)
