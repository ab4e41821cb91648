"""Capture: triggers that note which rows of the application's tables changed, and nothing else.

Statement-level triggers per mapping append one row per statement (and set of changed columns) to
`connector.change`. They lock nothing, look nothing up and never notify. They ignore only what this mapping's own
transactions write directly; what the application's own triggers do in answer is captured. What foreign keys do in answer
to a deletion cannot be told from it by its depth, and may come in one statement with it: there the keys tell.

A session keeps the plan of its first statement. One made for a single row would compare every row with every other in
a later bulk statement: hence two queries for UPDATE, and a FULL JOIN, which PostgreSQL never carries out like that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import asyncpg

from connector.core.schema import Column
from connector.local.catalogue import Connection, quote_ident, quote_literal
from connector.local.tables import Shape

LAST_BIT = 62
PREFIX = "capture "
LONGEST = 56
"""Bytes of a name that leave room for what follows it: a blank and the event."""


@dataclass(frozen=True, slots=True)
class Capture:
    """What a mapping wants noted: changes of `columns` of its table."""

    connection: str
    mapping: str
    shape: Shape
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the trigger functions."""
        return name_of(self.connection, self.mapping)


def name_of(connection: str, mapping: str) -> str:
    """What a mapping's captures are called, short enough for PostgreSQL's 63 bytes; of a long name the end is a digest."""
    whole = f"{PREFIX}{connection}/{mapping}".encode()
    if len(whole) <= LONGEST:
        return whole.decode()
    return f"{whole[: LONGEST - 9].decode(errors='ignore')} {sha256(whole).hexdigest()[:8]}"


def mask(columns: Sequence[Column]) -> str:
    """SQL for the bits of the columns that differ between row `n` and row `o`."""
    terms = []
    for position, column in enumerate(columns):
        name, exactly = quote_ident(column.name), _EXACTLY.get(column.kind, "")
        bit = 1 << min(position, LAST_BIT)
        terms.append(f"case when n.{name}{exactly} is distinct from o.{name}{exactly} then {bit}::bigint else 0 end")
    return " | ".join(terms) or "0::bigint"


_EXACTLY = {"text": ' collate "C"', "json": "::text", "array": "::text", "other": "::text"}
"""By kind: so that values are compared whose type has no equality, and texts that their collation calls equal."""


def definition(capture: Capture, number: str) -> str:
    """SQL that makes the functions and triggers; `number` is the capture's id."""
    key = quote_ident(capture.shape.key)
    into = (
        "insert into connector.change (connection, mapping, capture, op, columns, keys) select "
        f"{quote_literal(capture.connection)}, {quote_literal(capture.mapping)}, {number}"
    )
    differing = mask([capture.shape.table.columns[name] for name in capture.columns])
    everything = f"{into}, 'T', 0, '{{}}'::text[];"
    bodies = {
        "insert": _guarded(
            f"n.{key}::text from new_rows n",
            f"{into}, 'I', 0, array_agg(n.{key}::text) from new_rows n having count(*) > 0;",
            everything,
        ),
        "update": _guarded(
            f"n.{key} = o.{key}, {differing} from new_rows n, old_rows o", _update(into, key, differing), everything
        ),
        "delete": _guarded(
            f"o.{key}::text from old_rows o",
            f"{into}, 'D', 0, array_agg(o.{key}::text) from old_rows o where o.{key}::text <> all (own) having count(*) > 0;",
            everything,
        ),
        "truncate": everything,
    }
    return "\n".join(_trigger(capture, event, body) for event, body in bodies.items())


def _guarded(needed: str, body: str, otherwise: str) -> str:
    """The body, unless a column that it `needed` was dropped or renamed, or has a type now that compares otherwise.

    The application's own statement must not fail for us. Asked without a row and without writing: a block that writes
    would cost every statement a subtransaction's number.
    """
    return f"""begin
    perform {needed} where false;
  exception when syntax_error_or_access_rule_violation then
    {otherwise}
    return null;
  end;
  {body}"""


def _update(into: str, key: str, differing: str) -> str:
    """One row, or many; a changed key is noted as both. `offset 0` has the mask computed once, not per use."""
    return f"""perform 1 from new_rows offset 1;
  if not found then
    {into}, 'U', m.mask, m.keys from (
      select case when o.{key} = n.{key} then array[n.{key}::text] else array[o.{key}::text, n.{key}::text] end as keys,
             {differing} as mask from new_rows n cross join old_rows o offset 0) m
    where m.mask <> 0;
  else
    {into}, 'U', m.mask, array_agg(m.key) from (
      select coalesce(n.{key}, o.{key})::text as key, {differing} as mask
      from new_rows n full join old_rows o on o.{key} = n.{key} offset 0) m
    where m.mask <> 0 group by m.mask;
  end if;"""


_FIRING = {
    "insert": "after insert on {table} referencing new table as new_rows for each statement",
    "update": "after update on {table} referencing old table as old_rows new table as new_rows for each statement",
    "delete": "after delete on {table} referencing old table as old_rows for each statement",
    "truncate": "after truncate on {table} for each statement",
}


def _trigger(capture: Capture, event: str, body: str) -> str:
    table = capture.shape.sql_name
    function = f"connector.{quote_ident(f'{capture.name} {event[:3]}')}"
    trigger = quote_ident(f"{capture.name} {event[:3]}")
    said = "deleting" if event == "delete" else "origin"
    own = "own := current_setting('connector.deleted', true)::text[]" if event == "delete" else "return null"
    origin = quote_literal(capture.shape.origin)
    code = f"""
declare own text[] := '{{}}';
begin
  if pg_trigger_depth() = 1 and current_setting('connector.{said}', true) = {origin} then {own}; end if;
  {body}
  return null;
end """
    return f"""create or replace function {function}() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as {_quoted(code)};
create or replace trigger {trigger} {_FIRING[event].format(table=table)} execute function {function}();"""


def _quoted(code: str) -> str:
    """The code between dollars, under a tag that no name in it ends."""
    tag = "$capture$"
    while tag in code:
        tag = f"{tag[:-1]}_$"
    return f"{tag}{code}{tag}"


async def install(db: Connection, capture: Capture) -> bool:
    """Makes or renews the triggers where their definition changed; False when nothing was to do."""
    wanted = definition(capture, "0")
    known = await db.fetchrow(
        "select id, definition from connector.capture where connection = $1 and mapping = $2 order by id desc limit 1",
        capture.connection,
        capture.mapping,
    )
    if known is not None and known["definition"] == wanted and await _present(db, capture):
        return False
    number = await db.fetchval(
        "insert into connector.capture (connection, mapping, columns, definition) values ($1, $2, $3, $4) returning id",
        capture.connection,
        capture.mapping,
        list(capture.columns),
        wanted,
    )
    await db.execute("set local lock_timeout = '1s'")
    await db.execute(definition(capture, str(number)))
    return True


_LEFT_OVER = """
select distinct format('%I.%I', n.nspname, c.relname) as place, g.tgname::text as trigger, p.proname::text as function
from pg_proc p join pg_namespace own on own.oid = p.pronamespace and own.nspname = 'connector'
join pg_trigger g on g.tgfoid = p.oid join pg_class c on c.oid = g.tgrelid join pg_namespace n on n.oid = c.relnamespace
where starts_with(p.proname, $1) and left(p.proname, -4) <> all($2::text[])
"""


async def remove_others(db: Connection, connection: str, mappings: Sequence[str]) -> None:
    """Removes the triggers of mappings that the connection has no more.

    A table that is in use waits for another time, and so does one that is not ours: dropping takes its owner.
    """
    kept = [name_of(connection, mapping) for mapping in mappings]
    for row in await db.fetch(_LEFT_OVER, f"{PREFIX}{connection}/", kept):
        try:
            async with db.transaction():
                await db.execute("set local lock_timeout = '1s'")
                await db.execute(f"drop trigger {quote_ident(row['trigger'])} on {row['place']}")
                await db.execute(f"drop function connector.{quote_ident(row['function'])}()")
        except (asyncpg.LockNotAvailableError, asyncpg.InsufficientPrivilegeError):
            return


async def is_new(db: Connection, capture: Capture) -> bool:
    """True when the mapping never had triggers."""
    return not await db.fetchval(
        "select exists (select 1 from connector.capture where connection = $1 and mapping = $2)",
        capture.connection,
        capture.mapping,
    )


async def _present(db: Connection, capture: Capture) -> bool:
    """True when all triggers stand on the table, enabled."""
    return bool(
        await db.fetchval(
            """select count(*) = 4 from pg_trigger g join pg_class c on c.oid = g.tgrelid
               join pg_namespace n on n.oid = c.relnamespace
               where n.nspname = $1 and c.relname = $2 and g.tgenabled in ('O', 'A') and g.tgname = any($3::text[])""",
            capture.shape.table.schema,
            capture.shape.table.name,
            [f"{capture.name} {event[:3]}" for event in _FIRING],
        )
    )
