"""Hearing: whether webhooks tell what sweeps find. The CRM changed and nobody told: then the subscription is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

LATE = timedelta(minutes=1)
"""A change so young may still be told of."""
DOUBTED = timedelta(hours=1)
"""So long after changes were missed, sweeps come as often as without webhooks."""


@dataclass(slots=True)
class Hearing:
    """What is known of the webhooks of one connection; all times are ours."""

    kept_since: datetime | None = None
    """Since when the subscription that we keep is in place; None while it is not."""
    heard_at: datetime | None = None
    """When the last webhook came that was folded."""
    missed_at: datetime | None = None
    """When a sweep last found changes that webhooks should have told."""
    silent: bool = False
    """True when nothing at all came since the first change that was missed."""
    doubt: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the subscription shall be looked at."""

    def keep(self, now: datetime) -> None:
        """The subscription is in place."""
        self.kept_since = self.kept_since or now

    def lose(self) -> None:
        """The subscription is not in place, or is not yet known to be."""
        self.kept_since = None

    def missed(self, changes: Sequence[datetime], now: datetime) -> None:
        """A sweep found these changes of which no webhook told. Older ones than the subscription prove nothing."""
        since = self.kept_since
        proofs = [at for at in changes if since is not None and at > since]
        if not proofs:
            return
        self.missed_at = now
        self.silent = self.heard_at is None or self.heard_at < min(proofs)
        self.doubt.set()

    def deaf(self, now: datetime) -> bool:
        """True while webhooks are not to be relied on."""
        return self.missed_at is not None and now - self.missed_at < DOUBTED
