"""What a kind of record is: its keys, its bodies, and what follows from a body."""

from collections.abc import Callable
from dataclasses import dataclass

from connector.sandbox.bodies import Shape
from connector.sandbox.model import Context
from connector.sandbox.wire import Record
from connector.sandbox.world import World


@dataclass(frozen=True, slots=True)
class Scene:
    """What settling a record sees: the record so far (defaults when fresh) and the checked body."""

    world: World
    context: Context
    old: Record
    given: Record
    fresh: bool


@dataclass(frozen=True, slots=True)
class Entity:
    """One kind of record.

    ``settle`` fills what follows from a body (names, stages, times); ``tell`` gives the webhook's data;
    ``keys`` are those of the API's answer, in order.
    """

    name: str
    keys: tuple[str, ...]
    create: Shape
    update: Shape
    required: tuple[str, ...]
    blank: Callable[[World, Context], Record]
    settle: Callable[[Scene], Record]
    tell: Callable[[World, Record], Record]
    silent_previous: tuple[str, ...] = ()  # keys that never stand in a webhook's ``previous``
