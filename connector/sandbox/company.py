"""One running company: the world, the clock it lives by, and where accepted commands and owed webhooks go."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from connector.sandbox.commands import Command, execute
from connector.sandbox.events import deliveries
from connector.sandbox.model import Actor, Delivery
from connector.sandbox.wire import Json
from connector.sandbox.world import World


def wall_clock() -> datetime:
    """Give the time of this machine, UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the emulator's own clock; tests and simulations inject theirs


@dataclass(slots=True)
class Clock:
    """The CRM's clock: a source and an offset that tests set to skew it."""

    source: Callable[[], datetime] = wall_clock
    offset: timedelta = timedelta()

    def __call__(self) -> datetime:
        """Give the CRM's time."""
        return self.source() + self.offset


@dataclass(slots=True)
class Company:
    """Runs commands: executes, keeps the accepted ones through ``keep``, queues deliveries in ``outbox``."""

    world: World
    clock: Clock = field(default_factory=Clock)
    keep: Callable[[Command], None] = lambda _command: None
    outbox: deque[Delivery] = field(default_factory=deque)

    def do(self, actor: Actor, op: str, *args: Json, correlation: str = "") -> Json:
        """Run one command now; raises ``Refusal`` with nothing changed."""
        command = Command(op, args, actor, self.clock())
        outcome = execute(self.world, command)
        self.keep(command)
        self.outbox.extend(deliveries(self.world, outcome.events, correlation))
        return outcome.data

    def admin(self, source: str = "app") -> Actor:
        """Give the first user as an actor in the web app."""
        return Actor(next(iter(self.world.users)), source)
