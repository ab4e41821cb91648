"""The limiter: every request waits here for its turn in the CRM's budget.

Two windows: requests in a rolling burst window, tokens of a day. Four lanes: manual before live before sweep before
fetch_all, first come first served within a lane, and every tenth turn goes to each lower lane that waits. What the
server says remains wins over the ledger. One owner per connection makes the ledger local.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from connector.core.errors import RateLimitedError, UnavailableError
from connector.core.model import Lane
from connector.crm.clock import Clock
from connector.crm.ledger import Burst, Daily, Told
from connector.ports import Spending, Window

SOON: Final = 5.0
"""A pause longer than this many seconds is not waited for: the caller hears when to come back."""
TURN: Final = 10
"""Each lower lane that waits gets one of this many turns."""
BACK_OFF: Final = (2.0, 300.0)
"""First and longest pause in seconds after a refusal that does not say how long."""
LEAST_WAIT: Final = 0.001


@dataclass(frozen=True, slots=True)
class Mark:
    """The ledgers at the moment a request left; the answer is read against it."""

    charged: float
    free: int


@dataclass(frozen=True, slots=True)
class _Pause:
    """Nothing leaves before `ends` (monotonic), which people call `until`."""

    ends: float
    until: datetime
    daily: bool


@dataclass(frozen=True, slots=True)
class _Waiter:
    """One request in its lane; `turn` resolves when it may leave."""

    cost: float
    protected: bool
    turn: asyncio.Future[None]


class Limiter:
    """Admits requests so that no window is ever exceeded and no lane starves.

    `burst` requests per `window` seconds hold until an answer names the true limit. `daily` is the admin's token
    limit, None = as the server tells. Lanes below live leave `reserve` (0…1) of the day alone.
    """

    def __init__(
        self, clock: Clock, *, daily: float | None = None, reserve: float = 0.2, burst: int = 20, window: float = 2.1
    ) -> None:
        self._clock = clock
        self._burst, self._daily = Burst(burst, window), Daily(daily, reserve)
        self._lanes: dict[Lane, deque[_Waiter]] = {lane: deque() for lane in Lane}
        self._passed_over = dict.fromkeys(Lane, 0)
        self._pause: _Pause | None = None
        self._refusals = 0
        self._probing = False
        self._driver: asyncio.Task[None] | None = None

    async def admit(self, cost: float, lane: Lane, *, past_reserve: bool = False) -> None:
        """Wait for the turn of a request and charge it.

        RateLimitedError when its tokens are spent (`past_reserve` lets a low lane into the reserve) or a longer pause
        is on; then nothing is charged.
        """
        protected = past_reserve or lane <= Lane.LIVE
        waiter = _Waiter(cost, protected, asyncio.get_running_loop().create_future())
        self._lanes[lane].append(waiter)
        if self._grant() is not None and self._driver is None:
            self._driver = asyncio.create_task(self._drive(), name="limiter")
        await waiter.turn

    def check(self) -> None:
        """RateLimitedError while nothing may leave: what was admitted before a pause must not go on."""
        self._end_pause(self._clock.monotonic())
        if self._pause is not None:
            raise self._paused(self._pause)

    def mark(self) -> Mark:
        """The ledgers now; taken when a request leaves."""
        return Mark(self._daily.charged, self._burst.free(self._clock.monotonic()))

    def hear(self, told: Told, mark: Mark) -> None:
        """Take in what an accepted request's answer says; one that left before a pause does not lift the caution."""
        if self._pause is None or self._pause.ends <= self._clock.monotonic():
            self._refusals, self._probing = 0, False
        self._believe(told, mark)
        self._grant()

    def refused(self, told: Told, mark: Mark, cost: float) -> RateLimitedError:
        """Stop everything after a 429 until its window resets; the error to raise says until when."""
        self._believe(told, mark)
        if told.daily_remaining is not None and told.daily_remaining < cost:
            until = self._daily.again(self._clock.now())
            self.pause((until - self._clock.now()).total_seconds(), daily=True)
            return RateLimitedError("the day's budget is spent", until=until, daily=True)
        self.pause(self._burst_pause(told))
        return RateLimitedError("too many requests", until=self._pause.until if self._pause else None)

    def pause(self, seconds: float, *, daily: bool = False) -> None:
        """Let nothing leave for so long; a pause that ends later stays."""
        ends = self._clock.monotonic() + seconds
        if self._pause is None or ends > self._pause.ends:
            self._pause = _Pause(ends, self._clock.now() + timedelta(seconds=seconds), daily)
        self._grant()

    def windows(self) -> Sequence[Window]:
        """Both windows as now known; the daily one only where a limit is."""
        at, now = self._clock.monotonic(), self._clock.now()
        self._daily.turn(now)
        free = self._burst.free(at)
        resets = now + timedelta(seconds=self._burst.opens(at))
        burst = Window("burst", self._burst.limit, free, resets, unit="requests")
        limit, remaining = self._daily.limit, self._daily.remaining
        if limit is None:
            return (burst,)
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return (burst, Window("daily", limit, limit if remaining is None else max(0.0, remaining), midnight))

    def spending(self) -> Spending:
        """What was spent today."""
        return self._daily.spending(self._clock.now())

    def resume(self, before: Spending) -> None:
        """Go on from what an earlier process spent."""
        self._daily.resume(before, self._clock.now())

    async def close(self) -> None:
        """Stop granting; who still waits hears that nothing leaves any more."""
        for queue in self._lanes.values():
            while queue:
                turn = queue.popleft().turn
                if not turn.done():
                    turn.set_exception(UnavailableError("the connection is closed"))
        if self._driver is not None:
            self._driver.cancel()
            await asyncio.gather(self._driver, return_exceptions=True)

    def _believe(self, told: Told, mark: Mark) -> None:
        self._burst.hear(told, at=self._clock.monotonic(), before=mark.free)
        self._daily.hear(told, self._clock.now(), charged=mark.charged)

    def _burst_pause(self, told: Told) -> float:
        at = self._clock.monotonic()
        if self._pause is None or self._pause.ends <= at:
            self._refusals += 1
        self._probing = True
        first, longest = BACK_OFF
        if told.reset is not None:
            return max(told.reset, self._burst.seconds / 10)
        return float(min(longest, first * 2 ** (max(1, self._refusals) - 1)))

    async def _drive(self) -> None:
        """Wake when the next request may leave, as long as anyone waits."""
        try:
            while (wait := self._grant()) is not None:
                await self._clock.sleep(max(wait, LEAST_WAIT))
        finally:
            self._driver = None

    def _grant(self) -> float | None:
        """Let leave who may; seconds until more may, None when nobody waits."""
        at, now = self._clock.monotonic(), self._clock.now()
        self._daily.turn(now)
        self._probing |= self._daily.grow_old(now)
        self._end_pause(at)
        while (lane := self._choose()) is not None:
            waiter = self._lanes[lane][0]
            refusal = self._refusal(waiter, at, now)
            if refusal is None and (wait := self._wait(at)) > 0:
                return wait
            self._lanes[lane].popleft()
            if refusal is not None:
                waiter.turn.set_exception(refusal)
                continue
            self._charge(waiter, lane, at)
        return None

    def _charge(self, waiter: _Waiter, lane: Lane, at: float) -> None:
        self._burst.take(at)
        self._daily.take(waiter.cost)
        if self._passed_over[lane] >= TURN:
            self._passed_over[lane] -= TURN
        highest = min([lane, *(other for other in Lane if self._lanes[other])])
        for lower in Lane:
            if lower > highest and lower is not lane and self._lanes[lower]:
                self._passed_over[lower] += 1
        waiter.turn.set_result(None)

    def _choose(self) -> Lane | None:
        """The lane whose turn it is: one passed over often enough, else the highest; waiters who left are dropped."""
        waiting = [lane for lane in Lane if self._alive(lane)]
        owed = (lane for lane in waiting if self._passed_over[lane] >= TURN)
        return next(owed, waiting[0] if waiting else None)

    def _alive(self, lane: Lane) -> bool:
        queue = self._lanes[lane]
        while queue and queue[0].turn.done():
            queue.popleft()
        if not queue:
            self._passed_over[lane] = 0
        return bool(queue)

    def _refusal(self, waiter: _Waiter, at: float, now: datetime) -> RateLimitedError | None:
        if self._pause is not None and self._pause.ends - at > SOON:
            return self._paused(self._pause)
        if not self._daily.allows(waiter.cost, protected=waiter.protected):
            text = "the day's budget is spent" if waiter.protected else "what is left today is reserved for live work"
            return RateLimitedError(text, until=self._daily.again(now), daily=True)
        return None

    @staticmethod
    def _paused(pause: _Pause) -> RateLimitedError:
        text = "the day's budget is spent" if pause.daily else "the CRM asked for a pause"
        return RateLimitedError(text, until=pause.until, daily=pause.daily)

    def _wait(self, at: float) -> float:
        """Seconds until a request may leave: after a pause, after a refusal one at a time, else by the window."""
        if self._pause is not None:
            return self._pause.ends - at
        if self._probing and self._burst.free(at) < self._burst.limit:
            return self._burst.opens(at)
        return 0.0 if self._burst.free(at) else self._burst.opens(at)

    def _end_pause(self, at: float) -> None:
        if self._pause is not None and self._pause.ends <= at:
            if self._pause.daily:
                self._daily.forget()
                self._probing = True
            self._pause = None
