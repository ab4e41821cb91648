"""Lists of v2: parameters, cursors, pages (core-api-concepts-pagination; REFERENCE of the API §5).

A cursor is a keyset in base64url JSON as the documentation's samples decode; there is no snapshot behind it.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from connector.sandbox import wire
from connector.sandbox.calls import Answer, Call
from connector.sandbox.entity import Entity
from connector.sandbox.refusals import invalid
from connector.sandbox.table import ARCHIVED, DELETED, LIVE, Key, Query, Row
from connector.sandbox.views import View, render
from connector.sandbox.wire import Record, dumps

MAX_LIMIT, MAX_IDS, DEFAULT_LIMIT = 500, 100, 100
KEPT_DELETED = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Listing:
    """What a list of an entity takes: filters by record key, extra sort keys, archived or not."""

    entity: Entity
    filters: tuple[str, ...] = ()
    sorts: tuple[str, ...] = ()
    archived: bool = False

    def __call__(self, call: Call) -> Answer:
        """Answer a list request."""
        query = self._query(call)
        rows, more = call.world.tables[self.entity.name].select(query)
        view = View.of(call, self.entity)
        pages = b",".join(render(call.world, self.entity, row, view) for row in rows)
        cursor = dumps(_encode(query, rows[-1]) if more else None)
        return Answer(b'{"success":true,"data":[' + pages + b'],"additional_data":{"next_cursor":' + cursor + b"}}")

    def _query(self, call: Call) -> Query:
        params = call.query
        if "filter_id" in params:
            raise invalid({"filter_id": "filter not found"})
        sort_by = choice(params, "sort_by", ("id", "update_time", "add_time", *self.sorts))
        direction = choice(params, "sort_direction", ("asc", "desc"))
        return Query(
            shelves=self._shelves(params),
            sort_by=sort_by,
            descending=direction == "desc",
            after=_decode(params["cursor"], sort_by, direction) if params.get("cursor") else None,
            limit=integer(params, "limit", DEFAULT_LIMIT, low=1, high=MAX_LIMIT),
            since=moment(params, "updated_since"),
            until=moment(params, "updated_until"),
            ids=_ids(params),
            where=self._where(call),
        )

    def _shelves(self, params: Mapping[str, str]) -> tuple[str, ...]:
        """Deals alone can list deleted records, and only when asked to."""
        if self.archived:
            return (ARCHIVED,)
        wanted = _statuses(params) if self.entity.name == "deal" else set()
        if wanted == {"deleted"}:
            return (DELETED,)
        return (LIVE, DELETED) if "deleted" in wanted else (LIVE,)

    def _where(self, call: Call) -> Callable[[Record], bool] | None:
        tests = [_equals(key, call.query) for key in self.filters if key in call.query]
        hidden = call.world.hidden.get(call.user.id)
        if hidden:
            tests.append(lambda record: (self.entity.name, record["id"]) not in hidden)
        if self.entity.name == "deal" and "status" in call.query:
            tests.append(_status(_statuses(call.query), wire.seconds(call.company.clock() - KEPT_DELETED)))
        if self.entity.name == "person" and "deal_id" in call.query:
            deal = call.world.get("deal", integer(call.query, "deal_id", 0)) or {}
            tests.append(lambda record: record["id"] == deal.get("person_id"))
        return (lambda record: all(test(record) for test in tests)) if tests else None


def _equals(key: str, params: Mapping[str, str]) -> Callable[[Record], bool]:
    if key in ("lead_id", "done"):
        wanted = {"true": True, "false": False}.get(params[key], params[key])
        return lambda record: bool(record[key] == wanted)
    number = integer(params, key, 0)
    return lambda record: bool(record[key] == number)


def _statuses(params: Mapping[str, str]) -> set[str]:
    wanted = {each for each in params.get("status", "").split(",") if each}
    if not wanted <= {"open", "won", "lost", "deleted"}:
        raise invalid({"status": "must be one of open, won, lost, deleted"})
    return wanted


def _status(wanted: set[str], oldest: str) -> Callable[[Record], bool]:
    def test(record: Record) -> bool:
        if record["is_deleted"]:
            return "deleted" in wanted and bool(record["update_time"] >= oldest)
        return record["status"] in wanted

    return test


def integer(params: Mapping[str, str], key: str, default: int, *, low: int = 0, high: int | None = None) -> int:
    """Read a whole number of a query, within bounds; 400 otherwise."""
    text = params.get(key)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < low or (high is not None and int(text) > high):
        raise invalid({key: f"must be an integer from {low}" + (f" to {high}" if high is not None else "")})
    return int(text)


def choice(params: Mapping[str, str], key: str, allowed: tuple[str, ...]) -> str:
    """Read one of a few words, the first by default."""
    value = params.get(key, allowed[0])
    if value not in allowed:
        raise invalid({key: f"must be one of {', '.join(allowed)}"})
    return value


def moment(params: Mapping[str, str], key: str) -> str | None:
    """Read an RFC 3339 time in whole seconds; a fraction is refused, as was seen."""
    if key not in params:
        return None
    refusal = invalid({key: f"{params[key]} is not a valid datetime"})
    if "." in params[key]:
        raise refusal
    try:
        return wire.parse_seconds(params[key])
    except ValueError:
        raise refusal from None


def _ids(params: Mapping[str, str]) -> tuple[int, ...] | None:
    if not params.get("ids"):
        return None
    parts = params["ids"].split(",")
    if len(parts) > MAX_IDS or not all(part.strip().isdigit() for part in parts):
        raise invalid({"ids": f"must be at most {MAX_IDS} comma separated integers"})
    return tuple(int(part) for part in parts)


def _encode(query: Query, row: Row) -> str:
    field = query.sort_by
    direction = "desc" if query.descending else "asc"
    keyset = {"field": field, "fieldValue": row.record[field], "sortDirection": direction, "id": row.record["id"]}
    return base64.urlsafe_b64encode(dumps(keyset)).decode().rstrip("=")


def _decode(cursor: str, sort_by: str, direction: str) -> Key:
    """Read a cursor of the same list order; anything else is 400."""
    refusal = invalid({"cursor": "is not a valid cursor"})
    try:
        keyset = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        order, key = (keyset["field"], keyset["sortDirection"]), (keyset["fieldValue"] or "", int(keyset["id"]))
    except (ValueError, KeyError, TypeError):
        raise refusal from None
    if order != (sort_by, direction) or isinstance(key[0], str) is (sort_by in ("id", "order_nr")):
        raise refusal
    return key
