"""Token costs, the daily budget of the company and the burst window per token (core-api-concepts-rate-limiting).

A request that is refused here costs nothing; the last one before exhaustion may overdraw, so that a refusal by the
daily budget always comes with nothing remaining. Windows run on the clock that the caller passes.
"""

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from datetime import date, datetime

PER_SEAT = 30_000
WINDOW = 2.0
UNLIMITED = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """A pricing plan: multiplier of the daily budget, requests per 2 s and token."""

    multiplier: int
    burst: int


PLANS = {"lite": Plan(1, 20), "growth": Plan(2, 40), "premium": Plan(5, 100), "ultimate": Plan(7, 120)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a request: admitted, or refused with 429, or blocked with an HTML 403; and its headers."""

    status: int
    headers: dict[str, str]


@dataclass(slots=True)
class Limits:
    """The windows of one company; null means no limit, tokens are counted all the same."""

    burst: int | None = None
    daily: int | None = None
    cloudflare_after: int | None = None  # refused requests in a row until the HTML 403
    cloudflare_seconds: float = 10.0
    spent: int = 0
    spent_by_token: Counter[str] = field(default_factory=Counter)
    _day: date | None = None
    _recent: defaultdict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _refused: Counter[str] = field(default_factory=Counter)
    _blocked_until: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: str, seats: int) -> "Limits":
        """Give the limits of a plan by name; ``off`` for none."""
        if plan == "off":
            return cls()
        chosen = PLANS[plan]
        return cls(chosen.burst, PER_SEAT * chosen.multiplier * seats, cloudflare_after=200)

    def admit(self, token: str, cost: int, now: datetime) -> Verdict:
        """Decide on a request and book it when admitted."""
        self._new_day(now.date())
        at = now.timestamp()
        recent = self._recent[token]
        while recent and recent[0] <= at - WINDOW:
            recent.popleft()
        status = self._status(token, at)
        if status == 200:  # noqa: PLR2004
            recent.append(at)
            self.spent += cost
            self.spent_by_token[token] += cost
        return Verdict(status, self._headers(recent, at))

    def _status(self, token: str, at: float) -> int:
        if self._blocked_until.get(token, 0.0) > at:
            return 403
        over = self.burst is not None and len(self._recent[token]) >= self.burst
        if not over and (self.daily is None or self.spent < self.daily):
            self._refused[token] = 0
            return 200
        self._refused[token] += 1
        if over and self.cloudflare_after is not None and self._refused[token] > self.cloudflare_after:
            self._blocked_until[token] = at + self.cloudflare_seconds
            self._refused[token] = 0
            return 403
        return 429

    def _new_day(self, day: date) -> None:
        if day != self._day:
            self._day, self.spent = day, 0

    def _headers(self, recent: deque[float], at: float) -> dict[str, str]:
        burst = UNLIMITED if self.burst is None else self.burst
        daily = UNLIMITED if self.daily is None else self.daily
        reset = max(1, round(recent[0] + WINDOW - at)) if recent else 2
        return {
            "x-ratelimit-limit": str(burst),
            "x-ratelimit-remaining": str(max(0, burst - len(recent))),
            "x-ratelimit-reset": str(reset),
            "x-daily-ratelimit-token-limit": str(daily),
            "x-daily-ratelimit-token-remaining": str(max(0, daily - self.spent)),
        }
