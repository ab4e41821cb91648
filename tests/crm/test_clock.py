"""How far the CRM's clock is ahead of ours."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from connector.crm.clock import ServerClock

BEGAN = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
seconds = st.floats(0, 1)


def test_before_the_first_answer_nothing_is_known() -> None:
    """No offset is assumed and its error is unbounded."""
    assert (ServerClock().offset, ServerClock().error) == (0.0, math.inf)


@given(st.floats(-500, 500), st.lists(st.tuples(st.floats(0, 10), seconds, seconds), min_size=1, max_size=30))
def test_the_true_offset_lies_within_the_error(offset: float, answers: list[tuple[float, float, float]]) -> None:
    """However long requests take, the truth is inside, and more answers never widen it much."""
    clock, at = ServerClock(), BEGAN
    errors = []
    for gap, out, back in answers:
        at += timedelta(seconds=gap)
        answered = at + timedelta(seconds=out)
        date = (answered + timedelta(seconds=offset)).replace(microsecond=0)
        clock.hear(date, sent=at, received=answered + timedelta(seconds=back))
        at = answered + timedelta(seconds=back)
        errors.append(clock.error)
        assert abs(clock.offset - offset) <= clock.error + 1e-3
    assert errors[-1] <= errors[0] + 0.05


def test_a_clock_that_was_set_is_followed() -> None:
    """When answers contradict what was known, the newest counts alone."""
    clock = ServerClock()
    clock.hear(BEGAN, sent=BEGAN, received=BEGAN)
    clock.hear(BEGAN + timedelta(hours=1), sent=BEGAN, received=BEGAN)
    assert clock.offset == 3600.5
