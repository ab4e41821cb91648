"""What the engine's parts share about one connection while this process owns it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import blake2b

from connector.core import match
from connector.core.errors import (
    AccountExpiredError,
    ConnectorError,
    RateLimitedError,
    UnauthorisedError,
    UnavailableError,
)
from connector.core.fingerprint import Resemblance, resemblance
from connector.core.identity import Lost, Role, Signature
from connector.core.line import Bound, BoundMapping
from connector.core.mapping import MappingSet, Problem, Webhooks
from connector.core.match import MatchKey
from connector.core.model import Base, CrmId, Json, LinkId, Record
from connector.core.schema import Metadata, Table
from connector.engine.clock import Clock
from connector.engine.forecast import Forecast
from connector.engine.hearing import Hearing
from connector.engine.newcomers import Newcomers
from connector.engine.tenure import Tenure
from connector.local.tables import Shape
from connector.obs.metrics import Metrics
from connector.ports import CRM, Capabilities
from connector.store.db import Connection, Database, Fence

"""How the number of an intent is spelled; people may write anything into the identity field."""
HEARD_WITHIN = timedelta(days=1)
"""A subscription that a person made is believed in so long after its last delivery."""
Tables = Mapping[tuple[str, str], Table]
"""(schema, name) → the table as the catalogue describes it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The applied mapping set, joined with both schemas. Replaced as a whole; plans in flight carry the one they used."""

    spec: MappingSet
    bound: Bound
    metadata: Metadata
    shapes: Mapping[str, Shape]
    tables: Tables = field(default_factory=dict)
    keyed: Mapping[str, str] = field(default_factory=dict)
    """Object → digest of the rules by which its records are matched."""
    locked: Mapping[str, BoundMapping] = field(default_factory=dict)
    """Mappings that are left out of `bound` for as long as their tables are locked: their records wait."""

    def without(self, locked: Collection[str]) -> Rules:
        """The same rules with just these mappings left out."""
        every = {**self.bound.mappings, **self.locked}
        rest = {spec.name: every[spec.name] for spec in self.spec.mappings if spec.name in every.keys() - locked}
        out = {name: mapping for name, mapping in every.items() if name in locked}
        return replace(self, bound=replace(self.bound, mappings=rest), locked=out)

    def of_object(self, name: str) -> Sequence[BoundMapping]:
        """The mappings of a CRM object in file order."""
        return [mapping for mapping in self.bound.mappings.values() if mapping.object == name]

    def blocked(self, mapping: str | None) -> bool:
        """True for a mapping of the set that does not fit both schemas now: its records wait."""
        return mapping not in self.bound.mappings and any(mapping == spec.name for spec in self.spec.mappings)

    @property
    def objects(self) -> Sequence[str]:
        """Mapped CRM objects, parents before children."""
        order = ("organization", "person", "deal", "activity", "note")
        found = {mapping.object for mapping in self.bound.mappings.values()}
        return [name for name in order if name in found] + sorted(found.difference(order))

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What keeps the set from running."""
        return tuple(problem for problem in self.bound.problems if not problem.warning)

    def heard(self, name: str) -> bool:
        """True when records of the object are of interest before they are linked."""
        return any(mapping.hears for mapping in self.of_object(name))


@dataclass(slots=True)
class Gates:
    """What is open: fetched mappings, listed objects, pauses, the state of the connection."""

    fetched: set[str] = field(default_factory=set)
    listed: dict[str, str] = field(default_factory=dict)
    """Object → digest of the match rules under which it was listed."""
    paused: bool = False
    sends_paused: bool = False
    paused_mappings: frozenset[str] = frozenset()
    held: str | None = None
    draining: bool = False
    role: Role = Role.ORIGINAL
    lost: Lost = field(default_factory=Lost)
    looked: set[str] = field(default_factory=set)
    """Objects of which this process has seen what changed while nobody was here."""
    turns: int = 0
    """How often this process has changed where the connection stands: what was read before is not in force any more."""

    @property
    def state(self) -> str:
        """One word for operators: what keeps the connection from working, or from sending."""
        role = "ok" if self.role is Role.ORIGINAL else self.role.value
        return self.held or ("paused" if self.paused else role)

    @property
    def closed(self) -> bool:
        """True while nothing may be taken up."""
        return self.paused or self.draining or self.held is not None

    def in_force(self, listed_from: datetime | None) -> bool:
        """True for a listing, begun then, of which it was known already what this database has lost."""
        since = self.lost.opened_at
        return since is None or (listed_from is not None and listed_from >= since)


@dataclass(slots=True)
class Failures:
    """The last trouble with the CRM as a whole: what holds the connection, and how long to leave it alone."""

    error: ConnectorError | None = None
    streak: int = 0

    def note(self, error: ConnectorError) -> None:
        """Remembers trouble that concerns every call; a refused record is none."""
        if isinstance(error, UnavailableError | RateLimitedError | UnauthorisedError | AccountExpiredError):
            self.error, self.streak = error, self.streak + 1

    def succeeded(self) -> None:
        """An answer came: the trouble is over."""
        self.error, self.streak = None, 0


@dataclass(slots=True)
class Flight:
    """How many claimed items are being worked on."""

    count: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    def take_off(self, items: int) -> None:
        """So many more."""
        self.count += items
        self.idle.clear()

    def land(self, items: int) -> None:
        """So many are done or put back."""
        self.count -= items
        if self.count <= 0:
            self.idle.set()

    async def landed(self) -> None:
        """Returns when nothing is worked on."""
        if self.count > 0:
            await self.idle.wait()


@dataclass(slots=True)
class Context:
    """One connection in the hands of its owner. `pulse` is set whenever there may be work."""

    name: str
    crm: CRM
    database: Database
    clock: Clock
    metrics: Metrics
    rules: Rules
    fence: Fence
    salt: bytes
    signature: Signature
    tenure: Tenure
    gates: Gates = field(default_factory=Gates)
    failures: Failures = field(default_factory=Failures)
    flight: Flight = field(default_factory=Flight)
    pulse: asyncio.Event = field(default_factory=asyncio.Event)
    notes: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a person asked for something."""
    keys_in_flight: dict[bytes, LinkId] = field(default_factory=dict)
    newcomers: Newcomers = field(default_factory=Newcomers)
    clock_offset: float = 0.0
    """Seconds that the CRM's clock is ahead of ours."""
    clock_error: float = 1.0
    hearing: Hearing = field(default_factory=Hearing)
    forecast: Forecast = field(default_factory=Forecast)
    known_intent: int = 0
    """The highest number that our database is known to have given to an intent."""
    subscribed: str | None = None
    """The subscription made under the password in force."""
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _changing_since: datetime | None = field(default=None, init=False)
    schema_moved: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the CRM's definitions changed and must be read anew."""

    @property
    def pushed(self) -> bool:
        """True while webhooks reach us: by our subscription, or as those tell that a person's brings."""
        if self.rules.spec.connection.webhooks is Webhooks.MANUAL:
            heard_at = self.hearing.heard_at
            return heard_at is not None and self.clock.now() - heard_at < HEARD_WITHIN
        return self.hearing.kept_since is not None

    @asynccontextmanager
    async def change(self, *, durable: bool = True) -> AsyncIterator[Connection]:
        """The one transaction at a time that changes links and work.

        Two of them could wait for each other's locks; a note could be left on a half that the other is joining, and go
        with it.
        """
        async with self.changing:
            self._changing_since = self.clock.now()
            try:
                async with self.database.transaction(self.fence, durable=durable) as db:
                    yield db
            finally:
                self._changing_since = None

    def listed(self, name: str) -> bool:
        """True when the keys by which an object's records are matched now are known of all of them."""
        return self.gates.listed.get(name) == self.rules.keyed.get(name)

    def reading_since(self) -> datetime:
        """The time to note for what is read from now on: a change under way may be dated before it can be seen."""
        return self._changing_since or self.clock.now()

    def hash_of(self, mapping: str, key: MatchKey) -> bytes:
        """The keyed hash of a match key; equal for both sides."""
        text = "\0".join((mapping, str(key.rule), *(f"{len(part)}:{part}" for part in key.parts)))
        return blake2b(text.encode(), key=self.salt, digest_size=16).digest()

    def hashed_keys(self, mapping: BoundMapping, fields: Mapping[str, Json], crm_id: CrmId) -> Mapping[bytes, MatchKey]:
        """The match keys of a record under one mapping, by their keyed hashes."""
        return {self.hash_of(mapping.name, key): key for key in match.crm_keys(mapping, fields, crm_id)}

    def record_hashes(
        self, mappings: Iterable[BoundMapping], fields: Mapping[str, Json], crm_id: CrmId
    ) -> Sequence[bytes]:
        """The keyed hashes under which a record can be matched."""
        return [hash_ for mapping in mappings for hash_ in self.hashed_keys(mapping, fields, crm_id)]

    def resemblance(self, mapping: str | None, sent: Base, record: Record, sent_at: datetime) -> Resemblance:
        """How like a record is to a create that was sent at `sent_at` of our clock."""
        bound = self.rules.bound.mappings.get(mapping or "")
        return resemblance(bound, sent, record, self.crm_time(sent_at)) if bound is not None else Resemblance()

    async def hear_clock(self) -> None:
        """Asks for the CRM's time as its answers have told it so far; raises what a call raises."""
        account = await self.crm.account()
        self.clock_offset, self.clock_error = account.clock_offset, account.clock_error

    def crm_time(self, at: datetime) -> datetime:
        """A time of our clock by the CRM's."""
        return at + timedelta(seconds=self.clock_offset)

    def our_time(self, at: datetime) -> datetime:
        """A time of the CRM's clock by ours."""
        return at - timedelta(seconds=self.clock_offset)

    def capabilities(self, name: str) -> Capabilities:
        """What the CRM can do with an object."""
        return self.crm.capabilities(name)

    def has_identity(self, name: str) -> bool:
        """True when records of the object carry our key."""
        return name in self.rules.metadata.identity

    def barred(self, name: str) -> str | None:
        """The gate that keeps records of an object from being sent, whatever their mapping; None when it is open.

        Before the first look nobody knows whether the CRM has records of ours that this database has lost.
        """
        gates = self.gates
        if gates.sends_paused:
            return "sends_paused"
        if gates.role.aside:
            return "database"
        return None if gates.role is Role.ORIGINAL and self._looked(name) else "first_look"

    def unplaced(self, record: Record, lost: Lost) -> str | None:
        """The gate that keeps a record from being taken in: it may have been made by what this database has lost.

        Its identity tells; one that carries none may be anybody's, as long as it is not clear whether something is lost.
        """
        gates, number = self.gates, self.signature.intent(record.identity) or 0
        closed = "database" if gates.role.aside else "first_look"
        if gates.role is Role.ORIGINAL:
            return closed if not (self.has_identity(record.object) or self._looked(record.object)) else None
        if self.has_identity(record.object):
            return closed if number > self.known_intent and not lost.covers(number) else None
        return closed if lost.opened_at is None else None

    def _looked(self, name: str) -> bool:
        """True once an object was looked at; one whose records carry no key of ours: all the others."""
        if self.has_identity(name):
            return name in self.gates.looked
        return all(each in self.gates.looked for each in self.rules.objects if self.has_identity(each))

    def longest_identity(self, name: str) -> int | None:
        """How many characters the identity field of the object takes; None where nobody says."""
        metadata = self.rules.metadata
        fields = (f for f in metadata.fields.get(name, ()) if f.key == metadata.identity.get(name))
        return next((f.max_length for f in fields), None)

    def label(self, mapping: str | None) -> str:
        """The `mapping` label of metrics."""
        return f"{self.name}/{mapping or '-'}"
