"""Low water: from where the queue tables are looked at, so that a look does not pass over all that was deleted.

PostgreSQL keeps deleted rows for as long as somebody has a transaction open that could see them. A look that began at the
lowest number would read them all again, many times a second. Transactions commit out of order, so the mark stays some
seconds behind, and one look in a second begins at the very bottom after all.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

LAG, WHOLE = 5.0, 1.0
"""Seconds that the mark stays behind at least; seconds between two looks from the bottom."""

EVER = datetime(1970, 1, 1, tzinfo=UTC)


def since(now: datetime, *, whole: bool) -> datetime:
    """The time from which on items became due that a look shall find: older ones were claimed unless they wait for room."""
    return EVER if whole else now - timedelta(seconds=2 * LAG)


class LowWater:
    """The mark of one queue of one connection. Moments are of a clock that never goes back."""

    def __init__(self) -> None:
        self.mark = 0
        self._candidate = self._highest = 0
        self._raised_at = self._whole_at = float("-inf")

    def bottom(self, moment: float) -> int:
        """Behind which number to look now; 0 is the very bottom."""
        if moment - self._raised_at >= LAG:
            self.mark, self._candidate, self._raised_at = self._candidate, self._highest, moment
        if moment - self._whole_at >= WHOLE:
            self._whole_at = moment
            return 0
        return self.mark

    def consumed(self, number: int) -> None:
        """Everything that was found up to this number is gone."""
        self._highest = max(self._highest, number)
