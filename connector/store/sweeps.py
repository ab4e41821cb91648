"""How far each object's sweeps have come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.core.model import AppKey, CrmId, LinkId
from connector.store.db import Connection


@dataclass(frozen=True, slots=True)
class Sweep:
    """`since` (recent only) is how far the CRM's clock is covered; `cursor` resumes; `due_at` is when it was asked for.

    `keys` (of listings) is the digest of the match rules by which it keeps the keys of all records.
    """

    object: str
    kind: str
    since: datetime | None = None
    cursor: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    seen: int = 0
    due_at: datetime | None = None
    keys: str | None = None

    @property
    def asked(self) -> bool:
        """True while it was asked for since it last began."""
        return self.due_at is not None and (self.started_at is None or self.due_at >= self.started_at)


async def load(db: Connection, connection: str) -> Mapping[tuple[str, str], Sweep]:
    """All sweeps of a connection by (object, kind)."""
    rows = await db.fetch("select * from connector.sweep where connection = $1", connection)
    names = ("object", "kind", "since", "cursor", "started_at", "finished_at", "seen", "due_at", "keys")
    return {(row["object"], row["kind"]): Sweep(*(row[name] for name in names)) for row in rows}


async def save(db: Connection, connection: str, sweep: Sweep) -> None:
    """Keeps the position of a sweep; that another one was asked for meanwhile stays on record."""
    await db.execute(
        """insert into connector.sweep (connection, object, kind, since, cursor, started_at, finished_at, seen, due_at, keys)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
           on conflict (connection, object, kind) do update set since = excluded.since, cursor = excluded.cursor,
               started_at = excluded.started_at, finished_at = excluded.finished_at, seen = excluded.seen,
               keys = excluded.keys""",
        connection,
        sweep.object,
        sweep.kind,
        sweep.since,
        sweep.cursor,
        sweep.started_at,
        sweep.finished_at,
        sweep.seen,
        sweep.due_at,
        sweep.keys,
    )


async def ask(db: Connection, connection: str, kind: str, now: datetime, objects: Iterable[str] | None = None) -> None:
    """Makes the sweeps of a kind due that are already known: of these objects, or of all."""
    await db.execute(
        """update connector.sweep set due_at = $3
           where connection = $1 and kind = $2 and ($4::text[] is null or object = any($4::text[]))""",
        connection,
        kind,
        now,
        sorted(objects) if objects is not None else None,
    )


async def note_seen(db: Connection, connection: str, name: str, ids: Sequence[CrmId]) -> None:
    """Notes the records that a full sweep has met."""
    await db.execute(
        """insert into connector.sweep_seen (connection, object, crm_id)
           select $1, $2, i from unnest($3::text[]) i on conflict do nothing""",
        connection,
        name,
        list(ids),
    )


async def forget_seen(db: Connection, connection: str, name: str) -> None:
    """Starts the notes of a full sweep anew."""
    await db.execute("delete from connector.sweep_seen where connection = $1 and object = $2", connection, name)


async def tell_planner(db: Connection) -> None:
    """Has PostgreSQL look at the tables that a listing fills: it plans for what they were when it last looked."""
    await db.execute(
        "analyze connector.sweep_seen, connector.match_key, connector.alias, connector.link (id, object, crm_id, state)"
    )


async def unseen(
    db: Connection, connection: str, name: str, since: datetime, *, after: LinkId, limit: int
) -> Sequence[LinkId]:
    """Links whose record existed before the sweep began and was not met, in order of their id."""
    if after == 0:
        await db.execute(
            "analyze connector.sweep_seen, connector.link (id, object, crm_id, state)"
        )  # the planner knows them as they were before
    rows = await db.fetch(
        """select l.id from connector.link l
           where l.connection = $1 and l.object = $2 and l.crm_id is not null and not l.released
             and l.state in ('linked', 'frozen') and l.first_seen_at < $3 and l.id > $4
             and not exists (select 1 from connector.sweep_seen s
                             where s.connection = $1 and s.object = $2 and s.crm_id = l.crm_id)
           order by l.id limit $5""",
        connection,
        name,
        since,
        after,
        limit,
    )
    return [LinkId(row["id"]) for row in rows]


async def linked_rows(
    db: Connection, connection: str, mapping: str, after: AppKey | None, limit: int
) -> Sequence[tuple[LinkId, AppKey]]:
    """Links of a mapping with their rows, in order of the rows' keys, beginning behind `after`."""
    beyond = "app_key > $3" if after is not None else "$3::text is null and app_key is not null"
    rows = await db.fetch(
        f"""select id, app_key from connector.link where connection = $1 and mapping = $2 and {beyond}
             and state in ('linked', 'frozen') order by app_key limit $4""",
        connection,
        mapping,
        after,
        limit,
    )
    return [(LinkId(row["id"]), AppKey(row["app_key"])) for row in rows]
