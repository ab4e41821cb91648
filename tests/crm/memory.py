"""A tiny CRM with the opposite of Pipedrive's abilities, as a second proof that the port knows no vendor.

Writes go 200 at a time and are conditional on the version; deletions are listed; there is no push and no identity
field; ids are text; versions are serial numbers; records carry no creation time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final

from connector.core.errors import CursorExpiredError, ForbiddenError, RefusedError
from connector.core.model import CrmId, Gone, Json, Lane, NotVisible, Observed, Record
from connector.core.schema import CrmField, FieldType, Metadata, User
from connector.ports import (
    Account,
    Capabilities,
    Create,
    Delete,
    Done,
    Failed,
    Hint,
    NotUnderstoodError,
    Operation,
    Outcome,
    Page,
    Spending,
    Subscription,
    Update,
    VersionOrder,
    Window,
)

PAGE: Final = 50
UNKNOWN: Final = CrmId("a0X-999999")
ABILITIES: Final = Capabilities(
    read_batch=200,
    read_batch_from=1,
    write_batch=200,
    deleted_listing=True,
    push=False,
    identity=False,
    conditional_write=True,
    clock_step=0.001,
)
FIELDS: Final = (
    CrmField("id", "Id", FieldType.ID, writable=False),
    CrmField("Name", "Name", FieldType.TEXT, max_length=80),
    CrmField("Size__c", "Size", FieldType.INTEGER, custom=True),
)


@dataclass(slots=True)
class World:
    """The other end: what everybody in the company sees."""

    now: datetime = datetime(2026, 3, 1, tzinfo=UTC)
    records: dict[CrmId, Record] = field(default_factory=dict)
    deleted: dict[CrmId, datetime] = field(default_factory=dict)
    hidden: set[CrmId] = field(default_factory=set)
    _serial: count[int] = field(default_factory=lambda: count(1))

    def put(self, key: CrmId | None, fields: Mapping[str, Json]) -> Record:
        """Make or change a record."""
        serial = next(self._serial)
        self.now += timedelta(milliseconds=1)
        key = key or CrmId(f"a0X-{serial:06}")
        before = self.records[key].fields if key in self.records else {}
        record = Record("account", key, {**before, **fields, "id": key}, str(serial), self.now)
        self.records[key] = record
        return record

    def remove(self, key: CrmId) -> None:
        """Delete a record."""
        if self.records.pop(key, None) is not None:
            self.now += timedelta(milliseconds=1)
            self.deleted[key] = self.now

    def visible(self) -> list[Record]:
        """What we may see, oldest change first."""
        records = (record for key, record in self.records.items() if key not in self.hidden)
        return sorted(records, key=lambda record: int(record.version or 0))


class MemoryCRM:
    """The adapter. Implements `ports.CRM`; a batch costs one call, whatever its size."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._calls = 1000.0

    def capabilities(self, _name: str, /) -> Capabilities:
        """The same for every object."""
        return ABILITIES

    async def account(self) -> Account:
        """One company, one user."""
        return Account("memory", "u-1", "https://memory.test")

    async def metadata(self, *, lane: Lane) -> Metadata:
        """Three fields."""
        return Metadata(fields={"account": FIELDS}, users=(User("u-1", "Ada", "ada@example.test"),), me="u-1")

    def recall(self, _metadata: Metadata, /) -> None:
        """Nothing here depends on them."""

    async def read(self, _name: str, ids: Sequence[CrmId], *, lane: Lane) -> Mapping[CrmId, Observed]:
        """Deleted records are remembered as such."""
        return {key: self._observe(key) for key in ids}

    async def listing(self, _name: str, cursor: str | None, *, lane: Lane) -> Page:
        """By id, from the last one on."""
        if cursor is not None and not cursor.startswith("after "):
            raise CursorExpiredError("not a cursor of this listing")
        after = (cursor or "").removeprefix("after ")
        records = sorted((r for r in self._world.visible() if r.id > after), key=lambda record: record.id)
        return Page(records[:PAGE], f"after {records[PAGE - 1].id}" if len(records) > PAGE else None)

    async def changed(
        self, _name: str, since: datetime, cursor: str | None, *, lane: Lane, past_reserve: bool = False
    ) -> Page:
        """By serial number, deletions on the first page."""
        if cursor is not None and not cursor.isdecimal():
            raise CursorExpiredError("not a cursor of this listing")
        after = int(cursor or 0)
        records = [
            record
            for record in self._world.visible()
            if record.modified_at is not None and record.modified_at >= since and int(record.version or 0) > after
        ]
        more = str(records[PAGE - 1].version) if len(records) > PAGE else None
        gone = () if cursor else tuple(key for key, at in self._world.deleted.items() if at >= since)
        return Page(records[:PAGE], more, gone)

    async def history(self, _name: str, _ids: Sequence[CrmId], *, lane: Lane) -> Mapping[CrmId, Mapping[str, datetime]]:
        """Nobody writes it down."""
        return {}

    async def admit(self, operation: Operation, *, lane: Lane) -> None:
        """A share of one call."""
        self._calls -= 1 / ABILITIES.write_batch

    async def write(self, operations: Sequence[Operation], *, lane: Lane) -> Sequence[Outcome]:
        """One after the other, each on its own."""
        return [self._apply(operation) for operation in operations]

    def compare(self, one: str | None, other: str | None, /) -> VersionOrder:
        """Serial numbers."""
        if one is None or other is None:
            return VersionOrder.UNKNOWN
        if one == other:
            return VersionOrder.SAME
        return VersionOrder.OLDER if int(one) < int(other) else VersionOrder.NEWER

    def received(self, _headers: Mapping[str, str], _body: bytes, /) -> Sequence[Hint]:
        """Nothing is ever sent."""
        raise NotUnderstoodError("this CRM sends nothing")

    async def subscriptions(self, *, lane: Lane) -> Sequence[Subscription]:
        """None."""
        return ()

    async def subscribe(self, url: str, user: str, password: str, *, lane: Lane) -> Subscription:
        """Not offered."""
        raise ForbiddenError("this CRM sends nothing")

    async def unsubscribe(self, subscription: str, *, lane: Lane) -> None:
        """Nothing to end."""

    async def ensure_identity(self, name: str, field_name: str, *, lane: Lane) -> bool:
        """Not possible."""
        return False

    def budget(self) -> Sequence[Window]:
        """Calls of the day."""
        return (Window("daily", 1000.0, self._calls, None, unit="calls"),)

    def spending(self) -> Spending | None:
        """Nobody restarts a memory."""
        return None

    def resume(self, _spending: Spending, /) -> None:
        """Nothing to go on from."""

    def link_url(self, name: str, crm_id: CrmId, /) -> str:
        """A page."""
        return f"https://memory.test/{name}/{crm_id}"

    async def close(self) -> None:
        """Nothing is open."""

    def _observe(self, key: CrmId) -> Observed:
        if key in self._world.deleted:
            return Gone("listed as deleted")
        return NotVisible() if key in self._world.hidden else self._world.records.get(key, NotVisible())

    def _apply(self, operation: Operation) -> Outcome:
        if isinstance(operation, Delete):
            self._world.remove(operation.id)
            return Done(None)
        wrong = tuple(key for key, value in operation.fields.items() if key == "Name" and not isinstance(value, str))
        if wrong:
            return Failed(RefusedError("wrong type", fields=wrong))
        return (
            Done(self._world.put(None, operation.fields)) if isinstance(operation, Create) else self._change(operation)
        )

    def _change(self, operation: Update) -> Outcome:
        current = self._world.records.get(operation.id)
        if current is None or current.version != operation.seen.version:
            return Failed(RefusedError("not as seen", code="conflict"))
        return Done(self._world.put(operation.id, operation.fields))


@dataclass(slots=True)
class MemorySubject:
    """The tiny CRM and a colleague who works in it."""

    world: World
    crm: MemoryCRM
    object: str = "account"
    text: str = "Name"
    unknown: CrmId = UNKNOWN

    @property
    def bad(self) -> Mapping[str, Json]:
        """A name that is no text."""
        return {"Name": 7}

    def sample(self, text: str) -> Mapping[str, Json]:
        """Fields of a new record."""
        return {"Name": text, "Size__c": 3}

    def tick(self) -> datetime:
        """Seconds pass."""
        self.world.now += timedelta(seconds=5)
        return self.world.now

    async def make(self, *texts: str) -> Sequence[CrmId]:
        """A colleague makes records."""
        return [self.world.put(None, self.sample(text)).id for text in texts]

    async def edit(self, crm_id: CrmId, text: str) -> None:
        """A colleague edits a record."""
        self.world.put(crm_id, {"Name": text})

    async def remove(self, crm_id: CrmId) -> None:
        """A colleague deletes a record."""
        self.world.remove(crm_id)

    async def hide(self, crm_id: CrmId) -> None:
        """An admin takes the record out of our sight."""
        self.world.hidden.add(crm_id)

    async def deliveries(self) -> Sequence[tuple[Mapping[str, str], bytes]]:
        """None ever."""
        return ()


def fresh() -> MemorySubject:
    """An empty CRM."""
    world = World()
    return MemorySubject(world, MemoryCRM(world))
