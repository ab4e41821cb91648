"""What the engine needs from a CRM, as types. No vendor, no I/O here.

One conformance suite runs the laws of these protocols over every adapter, skipping by declared capability, never by name.
Where a method costs the CRM's budget it takes the `lane` that pays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from connector.core.errors import ConnectorError
from connector.core.model import CrmId, Json, Lane, Observed, Record
from connector.core.schema import Metadata

WRITE_SECONDS: Final = 6.0
"""After so many seconds at most, a write has its outcome or is given up as unknown."""


class HintKind(StrEnum):
    """What a webhook says happened."""

    CHANGED = "changed"
    DELETED = "deleted"
    RESTORED = "restored"
    MERGED = "merged"
    SCHEMA = "schema"
    GAP = "gap"


@dataclass(frozen=True, slots=True)
class Hint:
    """One thing a webhook said.

    `values` are the new values by field key in the spelling of `read`, `previous` the old
    values of the changed keys; `created` marks the event of a creation; `at` is the CRM's clock.
    """

    id: str
    object: str
    crm_id: CrmId
    kind: HintKind
    created: bool = False
    version: str | None = None
    at: datetime | None = None
    actor: str | None = None
    source: str | None = None
    merged_to: CrmId | None = None
    merged_from: CrmId | None = None
    values: Mapping[str, Json] = field(default_factory=dict)
    previous: Mapping[str, Json] = field(default_factory=dict)
    identity: str | None = None


class NotUnderstoodError(ConnectorError):
    """An authenticated delivery that cannot be read: counted, and a recent sweep is due."""


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a listing. `cursor` continues it, None at the end; `deleted` are records known to be deleted."""

    records: Sequence[Record]
    cursor: str | None
    deleted: Sequence[CrmId] = ()


@dataclass(frozen=True, slots=True)
class Create:
    """Make a record. `identity` goes into the object's identity field where it has one."""

    object: str
    fields: Mapping[str, Json]
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """Change the given fields of a record. `seen` is the record as read just before."""

    object: str
    id: CrmId
    fields: Mapping[str, Json]
    seen: Record
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a record."""

    object: str
    id: CrmId


Operation = Create | Update | Delete


@dataclass(frozen=True, slots=True)
class Done:
    """Applied. `record` is the record as stored; None after a delete."""

    record: Record | None


@dataclass(frozen=True, slots=True)
class Failed:
    """Certainly not applied."""

    error: ConnectorError


@dataclass(frozen=True, slots=True)
class Unknown:
    """Sent, and no answer tells whether it was applied."""

    reason: str


Outcome = Done | Failed | Unknown


@dataclass(frozen=True, slots=True)
class Prices:
    """What one call costs the CRM's budget, for estimates; `page` is a page of a listing."""

    page: float = 1.0
    read: float = 1.0
    create: float = 1.0
    update: float = 1.0
    delete: float = 1.0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an adapter can do with one object."""

    read: bool = True
    write: bool = True
    delete: bool = True
    read_batch: int = 100
    read_batch_from: int = 10
    """From this many ids on, one batched read is cheaper than single ones."""
    write_batch: int = 1
    writes_per_second: float | None = None
    changed_listing: bool = True
    deleted_listing: bool = False
    memory: timedelta = timedelta(days=30)
    """For so long what was deleted is still told of: by listings, and by reads of its id."""
    push: bool = True
    identity: bool = True
    conditional_write: bool = False
    history: bool = False
    """`history` can tell when each field changed."""
    clock_step: float = 1.0
    """Resolution of `modified_at` in seconds."""
    together: Sequence[frozenset[str]] = ()
    """Keys that an update always writes together: those that do not change, as they were read."""
    prices: Prices = Prices()


class VersionOrder(StrEnum):
    """How one opaque version stands to another."""

    OLDER = "older"
    SAME = "same"
    NEWER = "newer"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Window:
    """One budget window as now known."""

    name: str
    limit: float
    remaining: float
    resets_at: datetime | None
    unit: str = "tokens"


@dataclass(frozen=True, slots=True)
class Spending:
    """What is known of a day's budget, for the next process to go on from.

    `spent` by this connection on `day`, which is UTC's; `limit` and `remaining` as the CRM told last, None where it did
    not.
    """

    day: date
    spent: float
    limit: float | None = None
    remaining: float | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """A webhook subscription as the CRM lists it."""

    id: str
    url: str
    objects: str
    active: bool
    last_status: int | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """Which account the credentials belong to.

    `clock_offset` is what to add to our clock in seconds to get the CRM's,
    `clock_error` how wrong that may be.
    """

    company: str
    user: str
    url: str
    clock_offset: float = 0.0
    clock_error: float = 1.0


class CRM(Protocol):
    """A CRM account. Every method may raise the errors of `core.errors`; `write` never raises for one operation."""

    def capabilities(self, name: str, /) -> Capabilities:
        """What can be done with the object."""
        ...

    async def account(self) -> Account:
        """Who we are there; also the cheapest proof that the credentials work."""
        ...

    async def metadata(self, *, lane: Lane) -> Metadata:
        """All field definitions, pipelines, stages and users."""
        ...

    def recall(self, metadata: Metadata, /) -> None:
        """Takes back what `metadata` gave an earlier process, where the CRM cannot be asked now."""
        ...

    async def read(self, name: str, ids: Sequence[CrmId], *, lane: Lane) -> Mapping[CrmId, Observed]:
        """Each of the ids, exactly once. An id that does not answer is NotVisible, never Gone."""
        ...

    async def listing(self, name: str, cursor: str | None, *, lane: Lane) -> Page:
        """All records of the object, archived ones included, in an order that a concurrent change cannot tear."""
        ...

    async def changed(
        self, name: str, since: datetime, cursor: str | None, *, lane: Lane, past_reserve: bool = False
    ) -> Page:
        """Records modified at or after `since` (the CRM's clock), oldest first; `deleted` where the CRM can tell.

        `past_reserve` lets a low lane spend what the budget keeps for live work.
        """
        ...

    async def history(self, name: str, ids: Sequence[CrmId], *, lane: Lane) -> Mapping[CrmId, Mapping[str, datetime]]:
        """Field key → when it last changed (the CRM's clock), of records; what cannot be told is left out. Dear."""
        ...

    async def admit(self, operation: Operation, *, lane: Lane) -> None:
        """Waits until the budget admits the operation, and charges it. RateLimitedError when that is not soon."""
        ...

    async def write(self, operations: Sequence[Operation], *, lane: Lane) -> Sequence[Outcome]:
        """One outcome per admitted operation in the same order; one bad operation never fails its neighbours."""
        ...

    def compare(self, one: str | None, other: str | None, /) -> VersionOrder:
        """How version `one` stands to `other`. SAME never proves the same content."""
        ...

    def received(self, headers: Mapping[str, str], body: bytes, /) -> Sequence[Hint]:
        """The hints of an authenticated delivery. No I/O. NotUnderstoodError when it cannot be read."""
        ...

    async def subscriptions(self, *, lane: Lane) -> Sequence[Subscription]:
        """All webhook subscriptions that we can see."""
        ...

    async def subscribe(self, url: str, user: str, password: str, *, lane: Lane) -> Subscription:
        """One subscription for everything, delivered to `url` with HTTP Basic."""
        ...

    async def unsubscribe(self, subscription: str, *, lane: Lane) -> None:
        """Ends a subscription; one that is gone is fine."""
        ...

    async def ensure_identity(self, name: str, field_name: str, *, lane: Lane) -> bool:
        """Makes the identity field of the object exist; False where the CRM or our rights do not allow it."""
        ...

    def budget(self) -> Sequence[Window]:
        """All windows as now known."""
        ...

    def spending(self) -> Spending | None:
        """What was spent today; None where the CRM has no daily budget."""
        ...

    def resume(self, spending: Spending, /) -> None:
        """Takes over what an earlier process spent. What the CRM itself tells wins."""
        ...

    def link_url(self, name: str, crm_id: CrmId, /) -> str:
        """Where a person opens the record."""
        ...

    async def close(self) -> None:
        """Ends all connections."""
        ...
