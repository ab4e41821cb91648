"""Records of one kind with what lists need: order by id, update_time and add_time, kept sorted, and cached JSON.

A page costs in the size of the page, not of the table, when it is sorted by an index and filtered by nothing but
``updated_since``/``updated_until`` on the same index; other filters scan.
"""

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeAlias

from connector.sandbox.wire import Json, Record

Key: TypeAlias = tuple[Json, int]
LIVE, ARCHIVED, DELETED = "live", "archived", "deleted"
_DENSE = 16  # a filter that one in so many records passes is cheaper to apply on the way than to sort for
INDEXED = ("id", "update_time", "add_time")


@dataclass(slots=True)
class Row:
    """One record as stored (custom fields only where set) and its JSON as last rendered."""

    record: Record
    page: bytes | None = None
    version: int = -1


@dataclass(frozen=True, slots=True)
class Query:
    """One page: where to look, in which order, beyond which key, within which update times (since ≤ t < until)."""

    shelves: tuple[str, ...] = (LIVE,)
    sort_by: str = "id"
    descending: bool = False
    after: Key | None = None
    limit: int = 100
    since: str | None = None
    until: str | None = None
    ids: tuple[int, ...] | None = None
    where: Callable[[Record], bool] | None = None


@dataclass(slots=True)
class _Shelf:
    """The sorted keys of the records of one standing (live, archived, deleted)."""

    keys: dict[str, list[Key]] = field(default_factory=lambda: {name: [] for name in INDEXED})

    def add(self, record: Record) -> None:
        for name, keys in self.keys.items():
            _insert(keys, (record[name] or "", record["id"]))

    def drop(self, record: Record) -> None:
        for name, keys in self.keys.items():
            del keys[bisect_left(keys, (record[name] or "", record["id"]))]


def _insert(keys: list[Key], key: Key) -> None:
    if not keys or keys[-1] < key:
        keys.append(key)
    else:
        insort(keys, key)


def shelf_of(record: Record) -> str:
    """Tell a record's standing: deleted before archived before live."""
    if record.get("is_deleted") or record.get("active_flag") is False:
        return DELETED
    return ARCHIVED if record.get("is_archived") else LIVE


class Table:
    """The records of one entity by id; ids grow and are never reused."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.next_id = 1
        self._shelves = {name: _Shelf() for name in (LIVE, ARCHIVED, DELETED)}

    def __len__(self) -> int:
        return len(self.rows)

    def get(self, key: int) -> Record | None:
        """Find a record, deleted ones included."""
        row = self.rows.get(key)
        return row.record if row else None

    def records(self) -> Iterator[Record]:
        """List all records in order of id."""
        return (row.record for row in self.rows.values())

    def live(self) -> Iterator[Record]:
        """List the records that are neither deleted nor archived."""
        return (record for record in self.records() if shelf_of(record) == LIVE)

    def put(self, record: Record) -> None:
        """Add or replace a record."""
        key = record["id"]
        old = self.rows.get(key)
        if old is not None:
            self._shelves[shelf_of(old.record)].drop(old.record)
        self.rows[key] = Row(record)
        self.next_id = max(self.next_id, key + 1)
        self._shelves[shelf_of(record)].add(record)

    def touch(self, key: int, record: Record) -> None:
        """Replace a record whose indexed keys and standing did not change."""
        self.rows[key] = Row(record)

    def remove(self, key: int) -> None:
        """Forget a record for good."""
        record = self.rows.pop(key).record
        self._shelves[shelf_of(record)].drop(record)

    def select(self, query: Query) -> tuple[list[Row], bool]:
        """Give one page and whether more follow."""
        rows = (self.rows[key] for _, key in self._keys(query))
        where = query.where
        if query.sort_by != "update_time" and (query.since, query.until) != (None, None):
            rows = (row for row in rows if _within(row.record, query))
        wanted = rows if where is None else (row for row in rows if where(row.record))
        found = list(islice(wanted, query.limit + 1))
        return found[: query.limit], len(found) > query.limit

    def _keys(self, query: Query) -> Iterable[Key]:
        runs = [_run(self._sorted(shelf, query), query) for shelf in query.shelves]
        return runs[0] if len(runs) == 1 else heapq.merge(*runs, reverse=query.descending)

    def _sorted(self, name: str, query: Query) -> list[Key]:
        """Give the keys of a shelf in order; those outside the update times may be among them."""
        if query.ids is not None:
            return self._picked(name, query)
        shelf = self._shelves[name]
        stamps = _between(shelf.keys["update_time"], query)
        if query.sort_by == "update_time":
            return stamps
        index = shelf.keys.get(query.sort_by)
        if index is not None and len(stamps) * _DENSE >= len(index):
            return index
        return sorted((self.rows[key].record[query.sort_by] or "", key) for _, key in stamps)

    def _picked(self, name: str, query: Query) -> list[Key]:
        found = (self.rows[key].record for key in set(query.ids or ()) if key in self.rows)
        wanted = (record for record in found if shelf_of(record) == name and _within(record, query))
        return sorted((record[query.sort_by] or "", record["id"]) for record in wanted)


def _within(record: Record, query: Query) -> bool:
    stamp = record["update_time"]
    return (query.since is None or stamp >= query.since) and (query.until is None or stamp < query.until)


def _between(stamps: list[Key], query: Query) -> list[Key]:
    low = 0 if query.since is None else bisect_left(stamps, (query.since,))
    high = len(stamps) if query.until is None else bisect_left(stamps, (query.until,))
    return stamps if (low, high) == (0, len(stamps)) else stamps[low:high]


def _run(keys: list[Key], query: Query) -> Iterator[Key]:
    if query.descending:
        high = len(keys) if query.after is None else bisect_left(keys, query.after)
        return (keys[at] for at in range(high - 1, -1, -1))
    low = 0 if query.after is None else bisect_right(keys, query.after)
    return (keys[at] for at in range(low, len(keys)))
