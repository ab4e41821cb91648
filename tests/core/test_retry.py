"""How long a failed record waits."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from connector.core.retry import CAP, backoff

ATTEMPTS = st.integers(0, 10_000)
SEEDS = st.integers(0, 2**40)
SHORT = 0  # of seed 0: the shortest wait


def seconds(attempt: int, seed: int = SHORT, **limits: float) -> float:
    """The wait in seconds."""
    return backoff(attempt, seed, **limits).total_seconds()


def test_it_doubles_up_to_five_minutes() -> None:
    """Half a second at first, less a quarter for this record; never more than five minutes, less the quarter."""
    assert [seconds(attempt) for attempt in range(4)] == [0.375, 0.75, 1.5, 3.0]
    assert [seconds(attempt) for attempt in (9, 10, 30)] == [192.0, 225.0, 225.0]


def test_a_wait_of_its_own() -> None:
    """A first wait and a longest one can be given; beyond a million times the first it does not grow."""
    assert [seconds(attempt, first=30, cap=3600) for attempt in (0, 1, 7)] == [22.5, 45.0, 2700.0]
    assert seconds(21, first=1, cap=1e12) == seconds(20, first=1, cap=1e12) == 0.75 * 2**20


@given(ATTEMPTS, SEEDS)
def test_the_spread(attempt: int, seed: int) -> None:
    """A quarter around the middle, the same each time for one record."""
    wait, middle = backoff(attempt, seed), seconds(attempt) / 0.75
    assert timedelta(seconds=0.75 * middle) <= wait <= timedelta(seconds=1.25 * CAP)
    assert wait < timedelta(seconds=1.25 * middle)
    assert wait == backoff(attempt, seed)


def test_neighbours_are_spread() -> None:
    """Records that failed together do not come back together: of a hundred in a row, tenths of the span all hold some."""
    tenths = {int((seconds(0, seed) / 0.5 - 0.75) * 20) for seed in range(1, 101)}
    assert tenths == set(range(10))
