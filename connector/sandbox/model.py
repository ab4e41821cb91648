"""The nouns of the emulator: who acts, what happened, who listens, what is switchable."""

from dataclasses import dataclass, field
from datetime import datetime

from connector.sandbox import wire
from connector.sandbox.wire import Json, Record


@dataclass(frozen=True, slots=True)
class Actor:
    """Who causes a change: a user, through the API or the web app."""

    user_id: int
    source: str = "api"


@dataclass(frozen=True, slots=True)
class Event:
    """One change as webhooks tell it; ``data`` and ``previous`` are in webhook shape."""

    id: str
    at: datetime
    actor: Actor
    entity: str
    entity_id: int
    action: str
    data: Record | None
    previous: Record | None
    merged_to: int | None = None
    merged_from: int | None = None
    is_bulk: bool = False


@dataclass(slots=True)
class Context:
    """One command in execution: its time, its actor, the events it emitted so far."""

    at: datetime
    actor: Actor
    quiet: bool = False
    is_bulk: bool = False
    events: list[Event] = field(default_factory=list)

    @property
    def now(self) -> str:
        """The command's time as v2 spells it."""
        return wire.seconds(self.at)


@dataclass(frozen=True, slots=True)
class User:
    """A user of the company and the API token of that user."""

    id: int
    name: str
    email: str
    token: str
    is_admin: bool
    timezone_name: str
    timezone_offset: str
    locale: str
    currency: str = "EUR"
    active: bool = True


@dataclass(slots=True)
class Switches:
    """Behaviour that the documentation leaves open; defaults as suggested by §14 of the API reference."""

    second_delete: int = 404  # or 410, as seen on v1
    children_bump_parent: bool = False
    merge_tells_children: bool = True
    activity_person_id: str = "accept"  # or "refuse": the guide calls it read-only, the specification lists it
    unix_timestamps: bool = False
    contact_sync: bool = False
    tidy_phones: bool = False  # phones are stored without blanks, brackets and dashes, as telephony apps make them


@dataclass(slots=True)
class Subscription:
    """A webhook as stored; delivery state is volatile."""

    id: int
    owner_id: int
    user_id: int
    name: str
    action: str
    object: str
    url: str
    version: str
    auth: tuple[str, str] | None
    add_time: str
    last_delivery_time: str | None = None
    last_http_status: int | None = None

    def wants(self, event: Event) -> bool:
        """Tell whether an event is subscribed to."""
        return self.object in ("*", event.entity) and self.action in ("*", event.action)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one webhook: the payload of the first attempt."""

    subscription: Subscription
    payload: dict[str, Json]
