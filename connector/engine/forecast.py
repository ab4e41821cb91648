"""Forecast: when the day's budget will be spent, at the rate of the last minutes."""

from __future__ import annotations

import math
from collections import deque

HORIZON = 600.0
"""Seconds over which the rate is taken."""


class Forecast:
    """Watches what remains."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()

    def note(self, at: float, remaining: float) -> None:
        """What remains at a moment in seconds; more than before means that a new day began."""
        if self._seen and remaining > self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((at, remaining))
        while self._seen[0][0] < at - HORIZON:
            self._seen.popleft()

    @property
    def seconds(self) -> float:
        """Until nothing remains; infinite while nothing is spent."""
        if not self._seen:
            return math.inf
        (began, before), (ended, now) = self._seen[0], self._seen[-1]
        spent = before - now
        return now * (ended - began) / spent if spent > 0 else math.inf
