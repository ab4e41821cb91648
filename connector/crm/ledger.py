"""The two ledgers of a budget: requests in a rolling window, tokens of a day. Pure: every moment is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from heapq import heappop, heappush
from typing import Final

from connector.ports import Spending

PROBE: Final = timedelta(hours=1)
"""A spent day is asked about again after this long: no vendor says in which time zone the day ends."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one answer says about the budget; None where it is silent. `reset` is in seconds from the answer."""

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None
    daily_limit: float | None = None
    daily_remaining: float | None = None


MOST: Final = 10_000
"""A limit beyond this many requests is none."""


class Burst:
    """At most `limit` requests in any `seconds` in a row, those of others under the same credentials included."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit, self.seconds = min(limit, MOST), seconds
        self._ends: list[float] = []

    def free(self, at: float) -> int:
        """How many requests may leave now."""
        while self._ends and self._ends[0] <= at:
            heappop(self._ends)
        return max(0, self.limit - len(self._ends))

    def take(self, at: float) -> None:
        """Note that a request leaves now."""
        heappush(self._ends, at + self.seconds)

    def opens(self, at: float) -> float:
        """Seconds until the oldest request leaves the window."""
        return self._ends[0] - at if self._ends else 0.0

    def hear(self, told: Told, *, at: float, before: int) -> None:
        """Believe an answer; `before` is what was free when its request left.

        What the server counts beyond ours are requests of others. Its figure is as old as our request, so it is
        compared with the smaller of ours then and now: neither slow nor overtaking answers may invent others.
        """
        self.limit = min(told.limit or self.limit, MOST)
        if told.remaining is None:
            return
        others = min(before, self.free(at)) - told.remaining
        for _ in range(others):
            heappush(self._ends, at + min(told.reset or self.seconds, self.seconds))


class Daily:
    """The tokens of a day: `limit` is the admin's or, where None, the server's; `reserve` is the share kept back."""

    def __init__(self, limit: float | None, reserve: float) -> None:
        self.configured, self.reserve = limit, reserve
        self.charged = 0.0
        self._day: date | None = None
        self._day_began = 0.0
        self._told_limit: float | None = None
        self._told: float | None = None
        self._told_at: datetime | None = None

    @property
    def limit(self) -> float | None:
        """The smaller of the configured and the told limit; None while neither is known."""
        known = [limit for limit in (self.configured, self._told_limit) if limit is not None]
        return min(known, default=None)

    @property
    def remaining(self) -> float | None:
        """Tokens left today; None while no limit is known."""
        own = None if self.configured is None else self.configured - (self.charged - self._day_began)
        told = None if self._told is None else self._told - self.charged
        return min((left for left in (own, told) if left is not None), default=None)

    def allows(self, cost: float, *, protected: bool) -> bool:
        """True when `cost` is left; what is not protected leaves the reserve alone."""
        remaining = self.remaining
        kept = 0.0 if protected else (self.limit or 0.0) * self.reserve
        return remaining is None or remaining - cost >= kept

    def take(self, cost: float) -> None:
        """Charge tokens."""
        self.charged += cost

    def hear(self, told: Told, now: datetime, *, charged: float) -> None:
        """Believe an answer; `charged` is what had been charged when its request left."""
        if told.daily_limit is not None:
            self._told_limit = told.daily_limit
        if told.daily_remaining is not None:
            self._told, self._told_at = told.daily_remaining + charged, now

    def spending(self, now: datetime) -> Spending:
        """What was spent on the day of `now`, and what the server told last."""
        self.turn(now)
        told = None if self._told is None else max(0.0, self._told - self.charged)
        return Spending(now.date(), self.charged - self._day_began, self._told_limit, told)

    def resume(self, before: Spending, now: datetime) -> None:
        """Go on from what an earlier process spent on the same day; what was told since stays."""
        self.turn(now)
        if self._told_limit is None:
            self._told_limit = before.limit
        if before.day != now.date():
            return
        self._day_began = min(self._day_began, self.charged - before.spent)
        if self._told is None and before.remaining is not None:
            self._told, self._told_at = before.remaining + self.charged, now

    def forget(self) -> None:
        """Drop what the server said: only the next answer can tell."""
        self._told = self._told_at = None

    def grow_old(self, now: datetime) -> bool:
        """Drop what the server said an hour ago, since when nothing left: its day may be a new one. True when there was any."""
        old = self._told_at is not None and now - self._told_at >= PROBE
        if old:
            self.forget()
        return old

    def turn(self, now: datetime) -> None:
        """Begin a new day at midnight UTC."""
        if self._day is not None and now.date() != self._day:
            self._day_began = self.charged
            self.forget()
        self._day = now.date()

    def again(self, now: datetime) -> datetime:
        """When a spent budget is worth asking about: at midnight UTC, in an hour at the latest."""
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return min(midnight, now + PROBE)
