"""Time as adapters take it: our clock, injected, and the CRM's clock, told by its answers."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

TICK: Final = 1.0
"""Seconds that a `Date` header hides: it is cut to the whole second."""
DRIFT: Final = 100e-6
"""Seconds per second that two clocks may part."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Our time: `now` is aware, `monotonic` counts seconds, `sleep` waits for some of them."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class ServerClock:
    """By how many seconds the CRM's clock is ahead of ours; every answer narrows it.

    An answer dated D, asked for at s and here at r, was made at one moment of ours between s and r and one of theirs
    between D and D + 1 s: the offset lies in [D - r, D + 1 - s]. The intervals are intersected; when they do not meet,
    a clock was set and the newest one counts alone.
    """

    def __init__(self) -> None:
        self._low, self._high = -math.inf, math.inf
        self._heard: datetime | None = None

    @property
    def offset(self) -> float:
        """Seconds to add to our clock to get the CRM's; 0 before the first answer."""
        return 0.0 if self._heard is None else (self._low + self._high) / 2

    @property
    def error(self) -> float:
        """Largest possible error of `offset` in seconds; infinite before the first answer."""
        return (self._high - self._low) / 2

    def hear(self, date: datetime, *, sent: datetime, received: datetime) -> None:
        """Take in the `Date` of an answer and our times around it."""
        low, high = (date - received).total_seconds(), (date - sent).total_seconds() + TICK
        apart = 0.0 if self._heard is None else abs((received - self._heard).total_seconds()) * DRIFT
        met = max(low, self._low - apart), min(high, self._high + apart)
        self._low, self._high = met if met[0] <= met[1] else (low, high)
        self._heard = received
