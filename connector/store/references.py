"""References: what is known of named parents, and which links went on without one until it is linked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from connector.core.merge import Parent
from connector.core.model import AppKey, CrmId, LinkId, LinkState, Side
from connector.store import link_writes
from connector.store.db import Connection


@dataclass(frozen=True, slots=True)
class Reference:
    """A parent as its link tells it.

    `reachable` is False when it will not come without a person; `died` is the side of a
    tombstone that was deleted; `released`: the record belongs to another mapping now; `apart`: its two sides are no
    longer one.
    """

    mapping: str
    app_key: AppKey | None
    crm_id: CrmId | None
    link_id: LinkId
    reachable: bool
    died: Side | None = None
    released: bool = False
    apart: bool = False


async def by_app(db: Connection, connection: str, wanted: Iterable[tuple[str, AppKey]]) -> Sequence[Reference]:
    """What is known of parents named by rows."""
    pairs = sorted(set(wanted))
    rows = await db.fetch(
        f"""{_REFERENCE} join unnest($2::text[], $3::text[]) n(mapping, key)
            on l.mapping = n.mapping and l.app_key = n.key where l.connection = $1""",
        connection,
        [mapping for mapping, _ in pairs],
        [key for _, key in pairs],
    )
    return [_reference(row, row["mapping"]) for row in rows]


async def by_crm(db: Connection, connection: str, wanted: Iterable[tuple[str, str, CrmId]]) -> Sequence[Reference]:
    """What is known of parents named by CRM records: (target mapping, its object, CRM id).

    A record that left the target for another mapping is known by its row there as well.
    """
    triples = sorted(set(wanted))
    rows = await db.fetch(
        f"""{_REFERENCE} join unnest($2::text[], $3::text[], $4::text[]) n(target, object, key)
            on l.object = n.object and l.crm_id = n.key and (not l.released or l.mapping = n.target)
            where l.connection = $1""",
        connection,
        [target for target, _, _ in triples],
        [name for _, name, _ in triples],
        [key for _, _, key in triples],
    )
    return [_reference(row, row["target"]) for row in rows]


_REFERENCE = """
select l.id, l.mapping, l.app_key, l.crm_id, l.state, l.cause, l.died, l.released, w.state as work, n.*
from connector.link l left join connector.work w on w.link_id = l.id
"""


def _reference(row: asyncpg.Record, target: str) -> Reference:
    other = row["mapping"] is not None and row["mapping"] != target
    hopeless = row["state"] in {"excluded", "left_out", "unlinked", "deleted"} or row["work"] == "parked" or other
    died = Side(row["died"]) if row["state"] in ("deleted", "unlinked") and row["died"] else None
    if row["state"] == "excluded" and row["cause"] == "record_gone":
        died = Side.CRM
    key = row["app_key"] if not other else None
    apart = LinkState(row["state"]).tombstone
    return Reference(target, key, row["crm_id"], LinkId(row["id"]), not hopeless, died, row["released"], apart)


async def call(db: Connection, connection: str, wanted: Sequence[tuple[Parent, str]], now: datetime) -> None:
    """Makes half-open links for awaited parents (with their objects) that have none."""
    for mapping, name in sorted({(parent.mapping, name) for parent, name in wanted}):
        keys = [AppKey(p.key) for p, _ in wanted if p.mapping == mapping and p.side is Side.APP]
        ids = [CrmId(p.key) for p, _ in wanted if p.mapping == mapping and p.side is Side.CRM]
        if keys:
            await link_writes.open_app(db, connection, name, mapping, keys=keys, now=now)
        if ids:
            await link_writes.open_crm(db, connection, name, ids, now)


async def parents(db: Connection, connection: str, wanted: Sequence[tuple[Parent, str]]) -> Mapping[Parent, LinkId]:
    """The links of parents (with their objects)."""
    rows = await by_app(db, connection, [(p.mapping, AppKey(p.key)) for p, _ in wanted if p.side is Side.APP])
    records = await by_crm(
        db, connection, [(p.mapping, name, CrmId(p.key)) for p, name in wanted if p.side is Side.CRM]
    )
    found = {Parent(ref.mapping, Side.APP, str(ref.app_key)): ref.link_id for ref in rows}
    return found | {Parent(r.mapping, Side.CRM, str(r.crm_id)): r.link_id for r in records if not r.released}


async def replace(db: Connection, held: Mapping[LinkId, Iterable[Parent]]) -> None:
    """Makes the given links miss exactly these parents."""
    rows = sorted({(link, p.mapping, p.side.value, p.key) for link, parents in held.items() for p in parents})
    await db.execute("delete from connector.reference where link_id = any($1::bigint[])", sorted(held))
    await db.executemany("insert into connector.reference (link_id, mapping, side, key) values ($1, $2, $3, $4)", rows)


async def children(db: Connection, connection: str, parents: Sequence[LinkId]) -> Sequence[LinkId]:
    """The links of the connection that went on without one of these."""
    rows = await db.fetch(
        """select distinct r.link_id from connector.link l
           join connector.reference r on r.mapping = l.mapping
             and ((r.side = 'app' and r.key = l.app_key) or (r.side = 'crm' and r.key = l.crm_id))
           join connector.link c on c.id = r.link_id and c.connection = l.connection
           where l.id = any($1::bigint[]) and l.connection = $2 order by 1""",
        list(parents),
        connection,
    )
    return [LinkId(row["link_id"]) for row in rows]


async def overtaken(db: Connection, connection: str, seen: Mapping[LinkId, datetime]) -> Sequence[LinkId]:
    """Which of these links miss a parent whose own link was committed since they looked at it.

    Not each other: of links that refer in a circle none would ever come to rest.
    """
    rows = await db.fetch(
        """select distinct r.link_id from unnest($2::bigint[], $3::timestamptz[]) n(id, seen)
           join connector.reference r on r.link_id = n.id
           join connector.link l on l.connection = $1 and l.mapping = r.mapping
             and ((r.side = 'app' and r.key = l.app_key) or (r.side = 'crm' and r.key = l.crm_id))
           where l.committed_at >= n.seen and l.id <> all($2::bigint[]) order by 1""",
        connection,
        list(seen),
        list(seen.values()),
    )
    return [LinkId(row["link_id"]) for row in rows]
