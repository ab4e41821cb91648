"""The state on disk: an append-only file of accepted commands, one JSON line each, replayed at start.

The first line names the format and the seed. A line is written before the answer is sent. A torn last line, left by a
kill in mid-write, is cut off; anything else that does not replay is an error, not a guess.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Self

from connector.sandbox.commands import Command, execute
from connector.sandbox.model import Actor
from connector.sandbox.refusals import Refusal
from connector.sandbox.wire import Json, dumps
from connector.sandbox.world import World

FORMAT = 1


class JournalError(Exception):
    """The journal cannot be replayed by this version of the program."""


class Journal:
    """An open journal; ``append`` is durable against a kill of the process, not of the machine."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file: BinaryIO = path.open("ab", buffering=0)

    def begin(self, seed: int) -> None:
        """Write the first line."""
        self._file.write(dumps({"sandbox": FORMAT, "seed": seed}) + b"\n")

    def append(self, command: Command) -> None:
        """Add one accepted command."""
        self._file.write(encode(command))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def encode(command: Command) -> bytes:
    """Give a command's line."""
    actor = command.actor
    at = command.at.isoformat()
    return (
        dumps({"at": at, "user": actor.user_id, "source": actor.source, "op": command.op, "args": command.args}) + b"\n"
    )


def decode(entry: Json) -> Command:
    """Read a command's line."""
    actor = Actor(entry["user"], entry["source"])
    return Command(entry["op"], tuple(entry["args"]), actor, datetime.fromisoformat(entry["at"]))


def replay(path: Path) -> World | None:
    """Give the world that a journal tells, null when it tells of none; cuts off a torn last line."""
    if not path.exists():
        return None
    entries = list(_entries(path))
    if not entries:
        return None
    head, *rest = entries
    if head.get("sandbox") != FORMAT:
        raise JournalError(f"{path.name} was made by another version of the sandbox; remove it to start anew")
    world = World(head["seed"])
    for number, entry in enumerate(rest, 2):
        _apply(world, entry, f"{path.name}:{number}")
    return world


def _apply(world: World, entry: Json, where: str) -> None:
    try:
        execute(world, decode(entry))
    except (Refusal, KeyError, TypeError, ValueError) as error:
        raise JournalError(f"{where} cannot be replayed: {error!r}; remove the file to start anew") from error


def _entries(path: Path) -> Iterator[Json]:
    good = 0
    with path.open("r+b") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            yield json.loads(line)
            good += len(line)
        file.truncate(good)
