"""How long what failed is left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from connector.core.errors import UnavailableError
from connector.core.model import Lane, LinkId
from connector.engine.apply.putback import retry
from connector.store.work import Item

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
AWAY = UnavailableError("away")


def test_only_failures_in_a_row_lengthen_the_pause() -> None:
    """What waited for others a hundred times and fails once is tried again at once; what fails again and again is not.

    Fails when every return to the queue counts: one unanswered call cost a row five minutes.
    """
    waited = retry(Item(LinkId(1), Lane.LIVE, 1, attempt=100, cause="same_key"), AWAY, NOW)
    assert waited.due_at is not None
    assert waited.due_at - NOW < timedelta(seconds=1)
    assert (waited.cause, waited.attempt) == ("unavailable", 1)
    failed = retry(Item(LinkId(1), Lane.LIVE, 1, attempt=5, cause="unavailable"), AWAY, NOW)
    assert failed.due_at is not None
    assert failed.due_at - NOW > timedelta(seconds=10)
    assert failed.attempt == 6
