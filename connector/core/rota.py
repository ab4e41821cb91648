"""Rota: which replica takes which free connection, and who gives one away. Every replica comes to the same answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

SETTLED = timedelta(seconds=30)
"""So long a replica must live before another one gives it something: it may be one that dies at every start."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A living daemon: the connections that it could work on, since when it lives, and how many connections it owns."""

    owner: str
    connections: frozenset[str]
    began_at: datetime
    owns: int


def assigned(free: Iterable[str], replicas: Sequence[Replica]) -> Mapping[str, str]:
    """Free connection → the replica that shall take it: each time the one that would own the fewest."""
    owns = {replica.owner: replica.owns for replica in replicas}
    taken: dict[str, str] = {}
    for connection in sorted(free):
        able = [replica.owner for replica in replicas if connection in replica.connections]
        if able:
            taken[connection] = min(able, key=lambda owner: (owns[owner], owner))
            owns[taken[connection]] += 1
    return taken


def to_give(mine: Iterable[str], me: str, replicas: Sequence[Replica], now: datetime) -> str | None:
    """One of my connections that another replica could work on which owns at least two fewer, if there is one."""
    owns = {replica.owner: replica.owns for replica in replicas}
    poor = [r for r in replicas if r.owns + 2 <= owns.get(me, 0) and now - r.began_at >= SETTLED]
    return next((name for name in sorted(mine) if any(name in replica.connections for replica in poor)), None)
