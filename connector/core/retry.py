"""When to try again: exponential, capped, spread by the record's own number instead of by chance."""

from __future__ import annotations

from datetime import timedelta

FIRST = 0.5
CAP = 300.0
PARENT_FIRST = 30.0
PARENT_CAP = 3600.0
OUTCOME_FIRST = 2.0


def backoff(attempt: int, seed: int, *, first: float = FIRST, cap: float = CAP) -> timedelta:
    """The wait after `attempt` failures (0, 1, …): doubled each time up to `cap`, times 0.75…1.25 by `seed`."""
    seconds = min(first * 2 ** min(attempt, 20), cap)
    return timedelta(seconds=seconds * (0.75 + (seed * 2654435761 % 1000) / 2000))
