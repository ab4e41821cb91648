"""A watch in the database itself: whatever the daemon writes of a connection's state, it writes under the fence.

Whoever holds the fence has locked the lease's row, and with it the table, until the end of its transaction. Writes
without that are noted with their statement.
"""

from __future__ import annotations

import asyncpg

from connector.store.db import Database, migrate

OPEN = ("event", "request", "lease", "replica", "migration")
"""What any process may write: what receivers and people leave, and who owns what."""
PARTLY = {
    "connection": "delete or update of state, reason, advice, account, metadata, pins, last_webhook_at,"
    " webhook_trouble",
    "webhook_password": "update of made_at, ends_at or delete",
    "sweep": "insert or update of since, cursor, started_at, finished_at, seen, keys or delete",
}
"""A connection is registered with its first password by any replica, which may seal credentials and passwords anew: the
same secrets under another key. Any receiver may ask for a sweep."""
WATCH = """
create table public.unfenced (place text not null, statement text not null);
create function public.look_for_fence() returns trigger language plpgsql security definer as $$
begin
  if current_setting('application_name') = 'connector' and not exists (
    select from pg_locks where pid = pg_backend_pid() and locktype = 'relation' and mode = 'RowShareLock'
                           and relation = 'connector.lease'::regclass)
  then insert into public.unfenced values (tg_table_name, current_query());
  end if;
  return null;
end $$;
"""


async def watch(dsn: str, db: asyncpg.Connection) -> None:
    """Makes the schema and sets the watch on every table of it."""
    database = await Database.connect(dsn, size=1)
    try:
        await migrate(database)
    finally:
        await database.close()
    await db.execute(WATCH)
    rows = await db.fetch(
        """select relname from pg_class where relnamespace = 'connector'::regnamespace and relkind in ('r', 'p')
             and not relispartition and relname <> all($1::text[])""",
        list(OPEN),
    )
    for (name,) in rows:
        when = PARTLY.get(name, "insert or update or delete")
        await db.execute(
            f"create trigger fence after {when} on connector.{name} for each statement execute function public.look_for_fence()"
        )


async def unfenced(db: asyncpg.Connection) -> list[str]:
    """The writes without fence so far, as `table: statement`."""
    rows = await db.fetch("select distinct place, statement from public.unfenced")
    return [f"{row['place']}: {row['statement']}" for row in rows]
