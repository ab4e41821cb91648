"""Listings, page by page: cursors of v2, offsets of v1, and the walks over several lists (REFERENCE §5).

Our own cursors are opaque text; nobody else reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from connector.core.errors import CursorExpiredError
from connector.core.model import CrmId, Json, Lane
from connector.crm.pipedrive.client import Call, Client, Reply
from connector.crm.pipedrive.kinds import Endpoint, Kind
from connector.crm.pipedrive.records import Rows, sort
from connector.crm.pipedrive.spellings import moment, number, parse, spell
from connector.ports import Page

LIMIT: Final = 500
BACK: Final = 100
"""How far an offset walk steps back when records before it have vanished, or may have."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What a listing is about, and who pays."""

    kind: Kind
    identity_key: str | None
    lane: Lane
    since: datetime | None = None
    past_reserve: bool = False


@dataclass(frozen=True, slots=True)
class _Leg:
    """One list of a walk."""

    endpoint: Endpoint
    params: Mapping[str, str]


async def page(client: Client, walk: Walk, cursor: str | None) -> Page:
    """The next page of a walk; CursorExpiredError when `cursor` cannot be continued."""
    if not walk.kind.v1:
        return await _page_v2(client, walk, cursor)
    return await (_changed_v1 if walk.since else _all_v1)(client, walk, cursor)


async def every(client: Client, call: Call) -> list[Mapping[str, Json]]:
    """All rows of a v2 list."""
    rows: list[Mapping[str, Json]] = []
    cursor: str | None = ""
    while cursor is not None:
        params = {**(call.params or {}), "limit": str(LIMIT), **({"cursor": cursor} if cursor else {})}
        reply = await client.call(replace(call, params=params))
        rows += reply.rows
        cursor = _next(reply, cursor)
    return rows


async def _page_v2(client: Client, walk: Walk, cursor: str | None) -> Page:
    """By id, or by update_time ascending: a record edited meanwhile moves to the end and shows again."""
    legs = _legs(walk)
    at, inner = _opened(cursor, len(legs))
    leg = legs[at]
    params = {**leg.params, **({"cursor": inner} if inner else {})}
    reply = await client.call(_call(walk, leg.endpoint, params))
    following = _next(reply, inner)
    more = f"{at}:{following}" if following else f"{at + 1}:" if at + 1 < len(legs) else None
    return _made(_sorted(walk, reply), more)


def _legs(walk: Walk) -> Sequence[_Leg]:
    order = "update_time" if walk.since else "id"
    since = {"updated_since": spell(walk.since)} if walk.since else {}
    params = {"limit": str(LIMIT), "sort_by": order, "sort_direction": "asc", **since}
    legs = [_Leg(each, params) for each in walk.kind.lists]
    if walk.since and walk.kind.lists_deleted:
        legs.append(_Leg(walk.kind.lists[0], {**params, "status": "deleted"}))
    return legs


def _opened(cursor: str | None, legs: int) -> tuple[int, str]:
    at, colon, inner = (cursor or "0:").partition(":")
    if not colon or not at.isdecimal() or int(at) >= legs:
        raise CursorExpiredError("not a cursor of this listing")
    return int(at), inner


def _next(reply: Reply, sent: str) -> str | None:
    """The cursor that leads on; None at the end, and where it stands still."""
    cursor = reply.more.get("next_cursor")
    return cursor if isinstance(cursor, str) and cursor not in ("", sent) else None


async def _all_v1(client: Client, walk: Walk, cursor: str | None) -> Page:
    """By id with offsets.

    Each page begins with the last record of the one before; where that one is not there, records before it have
    vanished, and the walk steps back until it stands on known ground.
    """
    start, last = _numbers(cursor)
    while True:
        begin = max(0, start - 1)
        reply = await client.call(_call(walk, walk.kind.lists[0], _offset(begin, "id ASC")))
        rows = _sorted(walk, reply)
        if begin == 0 or min(_ids(rows), default=0) <= last:
            break
        start = begin - BACK
    rows = Rows([each for each in rows.records if int(each.id) > last], [k for k in rows.deleted if int(k) > last])
    following = _next_start(reply, begin)
    return _made(rows, None if following is None else f"{following}:{max(_ids(rows), default=last)}")


async def _changed_v1(client: Client, walk: Walk, cursor: str | None) -> Page:
    """By update_time: the last one of a page is where the next one begins, so nothing can slip by.

    An offset counts only within one second that fills more than a page; such pages overlap, because every record edited
    meanwhile leaves that second and moves the others up.
    """
    began, start = _moment(cursor) if cursor else (spell(walk.since) if walk.since else "", 0)
    params = {**_offset(start, "update_time ASC"), "updated_since": began}
    reply = await client.call(_call(walk, walk.kind.lists[0], params))
    if _next_start(reply, start) is None:
        return _made(_sorted(walk, reply), None)
    reached = moment(reply.rows[-1].get("update_time")) if reply.rows else began
    following = f"{began}@{start + LIMIT - BACK}" if reached == began else f"{reached}@0"
    return _made(_sorted(walk, reply), following)


def _offset(start: int, order: str) -> dict[str, str]:
    return {"start": str(start), "limit": str(LIMIT), "sort": order}


def _numbers(cursor: str | None) -> tuple[int, int]:
    start, _, last = (cursor or "0:0").partition(":")
    if not start.isdecimal() or not last.isdecimal():
        raise CursorExpiredError("not a cursor of this listing")
    return int(start), int(last)


def _moment(cursor: str) -> tuple[str, int]:
    since, _, offset = cursor.partition("@")
    if parse(since) is None or not offset.isdecimal():
        raise CursorExpiredError("not a cursor of this listing")
    return since, int(offset)


def _next_start(reply: Reply, start: int) -> int | None:
    """`next_start`, nested in `pagination` or flat (§5.1), else what follows from the rows; None at the end."""
    nested = reply.more.get("pagination")
    pagination = nested if isinstance(nested, dict) else reply.more
    if not pagination.get("more_items_in_collection") or not reply.rows:
        return None
    following = number(pagination.get("next_start"))
    return following if isinstance(following, int) and following > start else start + len(reply.rows)


def _ids(rows: Rows) -> list[int]:
    return [int(each) for each in (*(record.id for record in rows.records), *rows.deleted)]


def _call(walk: Walk, endpoint: Endpoint, params: Mapping[str, str]) -> Call:
    optional = walk.kind.may_lack(endpoint)
    return Call(endpoint, walk.lane, params=params, past_reserve=walk.past_reserve, expected=optional)


def _sorted(walk: Walk, reply: Reply) -> Rows:
    return sort(walk.kind, reply.rows, walk.identity_key)


def _made(rows: Rows, cursor: str | None) -> Page:
    deleted: Sequence[CrmId] = tuple(rows.deleted)
    return Page(rows.records, cursor, deleted)
