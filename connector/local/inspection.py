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


async def grants(db: Connection, needs: Needs) -> Sequence[str]:
    """The GRANT statements that an owner of the table should run for the current user."""
    shape = needs.shape
    user = quote_ident(await db.fetchval("select current_user"))
    schema, table = quote_ident(shape.table.schema), shape.sql_name
    found: list[str] = []
    if not await db.fetchval("select has_schema_privilege($1, 'usage')", schema):
        return [f"GRANT USAGE ON SCHEMA {schema} TO {user};", *_all_of(needs, user)]
    wanted = ["SELECT", "TRIGGER", *(["INSERT"] if needs.inserts else []), *(["DELETE"] if needs.deletes else [])]
    rows = await db.fetch("select p, has_table_privilege($1, p) as ok from unnest($2::text[]) p", table, wanted)
    lacking = [row["p"] for row in rows if not row["ok"]]
    if lacking:
        found.append(f"GRANT {', '.join(lacking)} ON {table} TO {user};")
    columns = await _unwritable(db, table, needs.columns)
    if columns:
        found.append(f"GRANT UPDATE ({', '.join(map(quote_ident, columns))}) ON {table} TO {user};")
    return [*found, *(await _sequence(db, needs, user) if needs.inserts else ())]


def _all_of(needs: Needs, user: str) -> Sequence[str]:
    """Everything, where the schema's being closed hides what else is missing."""
    wanted = ["SELECT", "TRIGGER", *(["INSERT"] if needs.inserts else []), *(["DELETE"] if needs.deletes else [])]
    update = [f"UPDATE ({', '.join(map(quote_ident, needs.columns))})"] if needs.columns else []
    return [f"GRANT {', '.join([*wanted, *update])} ON {needs.shape.sql_name} TO {user};"]


async def _unwritable(db: Connection, table: str, columns: Iterable[str]) -> Sequence[str]:
    rows = await db.fetch(
        "select c from unnest($2::text[]) c where not has_column_privilege($1, c, 'update') order by 1",
        table,
        sorted(columns),
    )
    return [row["c"] for row in rows]


async def _sequence(db: Connection, needs: Needs, user: str) -> Sequence[str]:
    """The sequence that draws the keys of new rows."""
    name = await db.fetchval("select pg_get_serial_sequence($1, $2)", needs.shape.sql_name, needs.shape.key)
    if name is None or await db.fetchval("select has_sequence_privilege($1, 'usage')", name):
        return []
    return [f"GRANT USAGE ON SEQUENCE {name} TO {user};"]


async def schema_grants(db: Connection) -> Sequence[str]:
    """What schema `connector` needs: to be made, or to be used."""
    user = quote_ident(await db.fetchval("select current_user"))
    if await db.fetchval("select to_regnamespace('connector') is null"):
        if await db.fetchval("select has_database_privilege(current_database(), 'create')"):
            return []
        database = quote_ident(await db.fetchval("select current_database()"))
        return [f"GRANT CREATE ON DATABASE {database} TO {user};"]
    if await db.fetchval("select has_schema_privilege('connector', 'usage, create')"):
        return []
    return [f"GRANT USAGE, CREATE ON SCHEMA connector TO {user};"]


async def triggers(db: Connection, capture: Capture) -> Triggers:
    """Which capture triggers of a mapping are not there, and which are switched off."""
    names = [f"{capture.name} {event}" for event in EVENTS]
    rows = await db.fetch(
        "select tgname::text as name, tgenabled in ('O', 'A') as enabled from pg_trigger "
        "where tgrelid = to_regclass($1) and tgname = any($2::text[])",
        capture.shape.sql_name,
        names,
    )
    state = {row["name"]: row["enabled"] for row in rows}
    return Triggers([n for n in names if n not in state], [n for n in names if not state.get(n, True)])


async def indexed(db: Connection, shape: Shape, expression: str) -> bool:
    """True when PostgreSQL finds rows by `expression` (SQL over `t`) without reading the whole table."""
    async with db.transaction():
        await db.execute("set local enable_seqscan = off")
        plan = await db.fetchval(f"explain (format json) select 1 from {shape.sql_name} t where {expression} = 'x'")
    return not any(node["Node Type"] == "Seq Scan" for node in _nodes(json.loads(plan)[0]["Plan"]))


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
