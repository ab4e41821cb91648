"""Work items: dirty links. One row per link, whatever the number of notes.

client-go's semantics: marking collapses, a mark while the item is claimed means once more (the generation moves), and
`finish` removes the item only if nobody marked it meanwhile. An item claimed under an older epoch is free.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import asyncpg
from pydantic_core import from_json

from connector.core.model import Lane, LinkId
from connector.core.unseen import Told
from connector.store.db import LAZY, Connection, Fence
from connector.store.notes import dump


class WorkState(StrEnum):
    """Where an item stands; parked and braked have no due time."""

    DUE = "due"
    RETRY = "retry"
    WAITING = "waiting"
    BRAKED = "braked"
    PARKED = "parked"


@dataclass(slots=True)
class Item:
    """A claimed work item and the notes folded into it."""

    link_id: LinkId
    lane: Lane
    generation: int
    attempt: int = 0
    noticed_at: datetime | None = None
    evidence: bool = False
    crm_version: str | None = None
    app_at: datetime | None = None
    app_changed: Mapping[str, datetime] = field(default_factory=dict)
    crm_changed: Mapping[str, datetime] = field(default_factory=dict)
    cause: str | None = None
    told: Sequence[Told] = ()
    braked: frozenset[str] = frozenset()
    """What the brake stops of it, as `Plan.words` spells it."""
    released: frozenset[str] = frozenset()
    """What the brake had stopped and a person let go on, as `Plan.words` spells it."""

    def tries(self, cause: str) -> int:
        """How often in a row it came back for this cause: having waited for others says nothing of it."""
        return self.attempt if self.cause == cause else 0


@dataclass(frozen=True, slots=True)
class Mark:
    """A link that needs reconciling, and what is known of why."""

    link_id: LinkId
    lane: Lane
    crm_changed: Mapping[str, datetime] = field(default_factory=dict)
    evidence: bool = False
    crm_version: str | None = None
    told: Mapping[str, Told] = field(default_factory=dict)
    """By the event's number, as they came."""


@dataclass(frozen=True, slots=True)
class Deferral:
    """An item that comes back: at `due_at` (None: not by itself), in `state`, because of `cause`."""

    link_id: LinkId
    generation: int
    state: WorkState
    due_at: datetime | None
    cause: str
    attempt: int = 0
    waiting_for: LinkId | None = None
    since: datetime | None = None
    """When the read began that led to it."""
    braked: frozenset[str] = frozenset()
    """What the brake stops of it, as `Plan.words` spells it."""


async def mark(db: Connection, connection: str, marks: Iterable[Mark], now: datetime) -> None:
    """Makes links due. A new note re-arms what is parked, waiting or braked, and leaves back-off alone unless a person asks."""
    ordered = sorted(marks, key=lambda m: m.link_id)
    await db.execute(
        """insert into connector.work as w
               (link_id, connection, lane, due_at, noticed_at, crm_changed, evidence, crm_version, told)
           select n.id, $1, n.lane, $2, $2, n.crm_changed, n.evidence, n.version, n.told
           from unnest($3::bigint[], $4::smallint[], $5::jsonb[], $6::bool[], $7::text[], $8::jsonb[])
                n(id, lane, crm_changed, evidence, version, told)
           join connector.link l on l.id = n.id
           on conflict (link_id) do update set
               generation = w.generation + 1, lane = least(w.lane, excluded.lane),
               state = case when w.state = 'retry' and excluded.lane > 0 then w.state else 'due' end,
               due_at = case when w.state = 'retry' and excluded.lane > 0 then w.due_at else excluded.due_at end,
               crm_changed = w.crm_changed || excluded.crm_changed, told = w.told || excluded.told,
               evidence = w.evidence or excluded.evidence,
               crm_version = greatest(w.crm_version, excluded.crm_version)""",
        connection,
        now,
        [m.link_id for m in ordered],
        [int(m.lane) for m in ordered],
        [_times_json(m.crm_changed) for m in ordered],
        [m.evidence for m in ordered],
        [m.crm_version for m in ordered],
        [dump(m.told) for m in ordered],
    )


_CLAIM = f"""
with owned as materialized (select {LAZY} from connector.lease where connection = $1 and epoch = $2 for key share)
update connector.work w set claimed_by = $2, state = 'due'
from (select link_id from connector.work
      where exists (select 1 from owned)
        and connection = $1 and state in ('due', 'retry', 'waiting') and due_at <= $3 and due_at > $6
        and lane = any($5::smallint[])
        and (claimed_by is null or claimed_by < $2)
      order by lane, due_at limit $4 for update skip locked) d
where w.link_id = d.link_id
returning w.*
"""


async def claim(
    db: Connection, fence: Fence, now: datetime, limit: int, lanes: Sequence[Lane], *, since: datetime
) -> Sequence[Item]:
    """Takes up to `limit` items that became due after `since`, urgent lanes first; none when another process owns them.

    One statement that is its own transaction and holds the fence itself: it is on the way of every change.
    """
    rows = await db.fetch(_CLAIM, fence.connection, fence.epoch, now, limit, [int(lane) for lane in lanes], since)
    return [item_of(row) for row in sorted(rows, key=lambda r: (r["lane"], r["due_at"]))]


async def claim_links(db: Connection, fence: Fence, ids: Sequence[LinkId], lane: Lane, now: datetime) -> Sequence[Item]:
    """Takes given links for an observation that is already at hand; those in other hands are left out."""
    if not ids:
        return ()
    rows = await db.fetch(
        """insert into connector.work as w (link_id, connection, lane, due_at, noticed_at, claimed_by)
           select l.id, $1, $4, $5, $5, $2 from connector.link l where l.id = any($3::bigint[]) order by l.id
           on conflict (link_id) do update set claimed_by = $2, state = 'due'
               where (w.claimed_by is null or w.claimed_by < $2) and w.state <> 'braked'
           returning w.*""",
        fence.connection,
        fence.epoch,
        list(ids),
        int(lane),
        now,
    )
    return [item_of(row) for row in rows]


async def once_more(db: Connection, links: Sequence[LinkId], now: datetime) -> None:
    """Has those be looked at again that a page cannot take.

    What those in other hands are compared with may be older than what came; who is braked is read anew by the queue.
    """
    await db.execute(
        """update connector.work set generation = generation + 1,
               due_at = case when state = 'braked' then $2 else due_at end,
               state = case when state = 'braked' then 'due' else state end
           where link_id = any($1::bigint[]) and (claimed_by is not null or state = 'braked')""",
        list(links),
        now,
    )


async def running(db: Connection, links: Sequence[LinkId]) -> frozenset[LinkId]:
    """Which of these links are being worked on."""
    rows = await db.fetch(
        "select link_id from connector.work where link_id = any($1::bigint[]) and claimed_by is not null", list(links)
    )
    return frozenset(LinkId(row["link_id"]) for row in rows)


async def unsettled(db: Connection, links: Sequence[LinkId]) -> frozenset[LinkId]:
    """Which of these links have work that goes on by itself, and does not wait for such in its turn."""
    rows = await db.fetch(
        """select link_id from connector.work where link_id = any($1::bigint[])
             and (state in ('due', 'retry') or (state = 'waiting' and cause <> 'leant_on'))""",
        list(links),
    )
    return frozenset(LinkId(row["link_id"]) for row in rows)


def item_of(row: asyncpg.Record) -> Item:
    """A row of `connector.work` as a value."""
    return Item(
        LinkId(row["link_id"]),
        Lane(row["lane"]),
        row["generation"],
        row["attempt"],
        row["noticed_at"],
        row["evidence"],
        row["crm_version"],
        row["app_at"],
        _times(row["app_changed"]),
        _times(row["crm_changed"]),
        row["cause"],
        _told(row["told"]) if row["told"] != "{}" else (),
        frozenset(row["braked"]),
        frozenset(row["released"]),
    )


def _told(text: str) -> Sequence[Told]:
    return [
        Told(
            one["now"],
            one["was"],
            datetime.fromisoformat(one["at"]) if one["at"] else None,
            died=one.get("died", False),
        )
        for one in from_json(text).values()
    ]


async def finish(db: Connection, done: Sequence[tuple[LinkId, int]], now: datetime) -> None:
    """Ends items; one that was marked meanwhile is due again."""
    ids, generations = [link for link, _ in done], [generation for _, generation in done]
    ended = await db.execute(
        """delete from connector.work w using unnest($1::bigint[], $2::bigint[]) n(id, generation)
           where w.link_id = n.id and w.generation = n.generation""",
        ids,
        generations,
    )
    if ended != f"DELETE {len(done)}":
        await db.execute(
            """update connector.work set claimed_by = null, state = 'due', due_at = $2, attempt = 0, released = '{}',
                   braked = '{}', braked_at = null
               where link_id = any($1::bigint[])""",
            ids,
            now,
        )


async def spend_release(db: Connection, links: Sequence[LinkId]) -> None:
    """What a person let go on has happened."""
    await db.execute("update connector.work set released = '{}' where link_id = any($1::bigint[])", list(links))


async def defer(db: Connection, items: Sequence[Deferral], now: datetime) -> None:
    """Puts items back. One that was marked meanwhile, or whose awaited parent is linked already, is due at once.

    So is one whose parent turned out, since it was planned, not to come: it may go without it. And one that waits for an
    outcome that is known by now. And one that was parked for what another link has, which has changed since.
    """
    ordered = sorted(items, key=lambda d: d.link_id)
    awaited = sorted({d.waiting_for for d in ordered if d.waiting_for is not None})
    if awaited:
        await db.execute("select 1 from connector.link where id = any($1::bigint[]) order by id for share", awaited)
    await db.execute(
        f"""update connector.work w set claimed_by = null, attempt = n.attempt, cause = n.cause, waiting_for = n.parent,
               braked = case when n.state in ('due', 'retry') then w.braked else n.braked end,
               braked_at = case when n.state in ('due', 'retry') then w.braked_at
                                when n.braked <> '{{}}' then coalesce(w.braked_at, $8) end,
               state = case when w.generation <> n.generation and n.state in ('waiting', 'parked', 'braked') then 'due'
                            when {_OVERTAKEN} then 'due' else n.state end,
               due_at = case when w.generation <> n.generation and n.state in ('waiting', 'parked', 'braked') then $8
                             when p.state = 'linked' and n.cause = 'parent' then $8
                             when n.cause = 'open_intents'
                                  and not exists (select from connector.intent i
                                                  where i.connection = w.connection and i.link_id = n.parent) then $8
                             when {_OVERTAKEN} then $8
                             when n.attempt <= 5 and n.cause = 'parent' and (p.state <> 'open' or q.state = 'parked') then $8
                             else coalesce(n.due, 'infinity') end
           from (select u.*, array(select jsonb_array_elements_text(words)) as braked
                 from unnest($1::bigint[], $2::bigint[], $3::text[], $4::timestamptz[], $5::text[], $6::int[],
                             $7::bigint[], $9::timestamptz[], $10::jsonb[])
                      u(id, generation, state, due, cause, attempt, parent, since, words)) n
           left join connector.link p on p.id = n.parent
           left join connector.work q on q.link_id = n.parent
           where w.link_id = n.id""",
        [d.link_id for d in ordered],
        [d.generation for d in ordered],
        [d.state.value for d in ordered],
        [d.due_at for d in ordered],
        [d.cause for d in ordered],
        [d.attempt for d in ordered],
        [d.waiting_for for d in ordered],
        now,
        [d.since for d in ordered],
        [dump(sorted(d.braked)) for d in ordered],
    )


_OVERTAKEN = "n.cause = 'duplicate' and n.parent is not null and (p.id is null or p.committed_at >= n.since)"


async def look_again(db: Connection, links: Sequence[LinkId], now: datetime) -> None:
    """Makes due what was parked because its record did not answer, or braked because it was deleted: it may live again."""
    if not links:
        return
    await db.execute(
        """update connector.work set state = 'due', due_at = $2, attempt = 0
           where link_id = any($1::bigint[])
             and ((state = 'parked' and cause = 'missing') or (state = 'braked' and 'app_delete' = any(braked)))""",
        list(links),
        now,
    )


async def look_again_at_some(db: Connection, connection: str, name: str, most: int, now: datetime) -> None:
    """The first of it for any `most` records of an object: of very many that hide, each gets its turn in some sweep."""
    await db.execute(
        """update connector.work set state = 'due', due_at = $4, attempt = 0 where link_id in (
               select w.link_id from connector.work w join connector.link l on l.id = w.link_id
               where w.connection = $1 and l.object = $2 and w.state = 'parked' and w.cause = 'missing'
               order by random() limit $3)""",
        connection,
        name,
        most,
        now,
    )


async def wake(db: Connection, parents: Sequence[LinkId], now: datetime) -> None:
    """Makes everything due that waits for these links, and what was parked because of what they have or refer to."""
    await db.execute(
        """update connector.work set state = 'due', due_at = $2, waiting_for = null, attempt = 0
           where waiting_for = any($1::bigint[])
             and (state = 'waiting' or (state = 'parked' and cause in ('duplicate', 'leant_on')))""",
        list(parents),
        now,
    )


async def rearm(db: Connection, connection: str, cause: str, now: datetime, name: str | None = None) -> int:
    """Makes everything due that waits or was stopped for `cause` (of one object: `name`); the number of items."""
    done = await db.execute(
        """update connector.work w set state = 'due', due_at = $3, claimed_by = null, attempt = 0
           where connection = $1 and cause = $2 and state in ('waiting', 'retry')
             and ($4::text is null or exists (select 1 from connector.link l where l.id = w.link_id and l.object = $4))""",
        connection,
        cause,
        now,
        name,
    )
    return int(done.split()[-1])


async def hurry(db: Connection, connection: str, causes: Sequence[str], now: datetime) -> None:
    """Lets everything try now that backs off for one of the causes; how often it has failed is not forgotten."""
    await db.execute(
        """update connector.work set due_at = $3
           where connection = $1 and cause = any($2::text[]) and state = 'retry' and due_at > $3""",
        connection,
        list(causes),
        now,
    )


async def rearm_refused(db: Connection, connection: str, now: datetime) -> None:
    """Makes rows due that PostgreSQL refused as their table was: class 42 names what is not there, 23502 what is empty."""
    await db.execute(
        """update connector.work set state = 'due', due_at = $2, attempt = 0
           where connection = $1 and state = 'parked' and cause ~ '^row_refused:(42|23502)'""",
        connection,
        now,
    )


def _times_json(times: Mapping[str, datetime]) -> str:
    return dump({name: at.isoformat() for name, at in times.items()})


def _times(text: str) -> Mapping[str, datetime]:
    return {name: datetime.fromisoformat(at) for name, at in from_json(text).items()} if text != "{}" else {}


async def ensure(db: Connection, connection: str, ids: Sequence[LinkId], lane: Lane, now: datetime) -> None:
    """Makes links due that have no work; those that have are left as they are."""
    await db.execute(
        """insert into connector.work (link_id, connection, lane, due_at, noticed_at)
           select l.id, $1, $3, $4, $4 from connector.link l where l.id = any($2::bigint[]) order by l.id
           on conflict (link_id) do nothing""",
        connection,
        sorted(ids),
        int(lane),
        now,
    )
