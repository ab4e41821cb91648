"""Delivers webhooks: POST with Basic auth, retries, ban and removal, and the disorder that tests ask for.

Guide for webhooks v2: any 2xx within 10 s is a success; three retries after 3, 30 and 150 s; ten failed first attempts
ban a webhook for 30 minutes, events of that time are lost; three days without success remove it. All times are
multiplied by ``scale``. Delivery state lives in this process only.
"""

import asyncio
import base64
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import aiohttp

from connector.sandbox import wire
from connector.sandbox.company import Company
from connector.sandbox.model import Delivery, Subscription

RETRIES = (3.0, 30.0, 150.0)
TIMEOUT = 10.0
BAN_AFTER, BAN = 10, timedelta(minutes=30)
REMOVE_AFTER = timedelta(days=3)
CONCURRENCY = 16


@dataclass(slots=True)
class Policy:
    """Disorder on demand; all off by default."""

    duplicate: float = 0.0  # probability that an event is sent twice
    drop: float = 0.0  # probability that an event is never sent
    delay: float = 0.0  # seconds before the first attempt
    reorder: float = 0.0  # further random seconds, so that events overtake each other
    before_response: bool = False  # the first attempt ends before the write that caused it is answered
    scale: float = 1.0  # of retries, ban and removal


@dataclass(slots=True)
class Standing:
    """How a webhook has been answering."""

    failed_first: int = 0
    banned_until: datetime | None = None
    last_success: datetime | None = None


@dataclass(slots=True)
class Tally:
    """What became of deliveries, for tests and benchmarks."""

    attempts: int = 0
    delivered: int = 0
    failed: int = 0
    lost: int = 0


@dataclass(slots=True)
class Deliverer:
    """Takes deliveries from the company's outbox and brings them."""

    company: Company
    session: aiohttp.ClientSession
    chance: random.Random
    policy: Policy = field(default_factory=Policy)
    tally: Tally = field(default_factory=Tally)
    standings: dict[int, Standing] = field(default_factory=dict)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONCURRENCY))
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def pump(self) -> list[asyncio.Event]:
        """Start every owed delivery; each event is set when its first attempt has ended."""
        started = []
        while self.company.outbox:
            delivery = self.company.outbox.popleft()
            if self.chance.random() < self.policy.drop:
                self.tally.lost += 1
                continue
            copies = 2 if self.chance.random() < self.policy.duplicate else 1
            started += [self._start(delivery) for _ in range(copies)]
        return started

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def pending(self) -> int:
        """The deliveries under way, waiting retries included."""
        return len(self._tasks)

    def standing(self, webhook: Subscription) -> Standing:
        """Give how a webhook has been answering."""
        return self.standings.setdefault(webhook.id, Standing())

    def _start(self, delivery: Delivery) -> asyncio.Event:
        first = asyncio.Event()
        task = asyncio.create_task(self._deliver(delivery, first))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return first

    async def _deliver(self, delivery: Delivery, first: asyncio.Event) -> None:
        try:
            await _pause(self.policy.delay + self.chance.random() * self.policy.reorder)
            if self._is_lost(delivery.subscription):
                self.tally.lost += 1
                return
            succeeded = await self._attempt(delivery, 1)
        finally:
            first.set()
        if not succeeded:
            self._count_failure(delivery.subscription)
            await self._retry(delivery)

    async def _retry(self, delivery: Delivery) -> None:
        for number, seconds in enumerate(RETRIES, 2):
            await _pause(seconds * self.policy.scale)
            if self._is_lost(delivery.subscription) or await self._attempt(delivery, number):
                return
        self.tally.failed += 1

    def _is_lost(self, webhook: Subscription) -> bool:
        """Tell whether nothing is sent now: webhook gone, or banned."""
        if webhook.id not in self.company.world.subscriptions:
            return True
        standing = self.standing(webhook)
        if standing.banned_until is not None and standing.banned_until <= self.company.clock():
            standing.banned_until = None
        return standing.banned_until is not None

    async def _attempt(self, delivery: Delivery, number: int) -> bool:
        webhook = delivery.subscription
        payload = {**delivery.payload, "meta": {**delivery.payload["meta"], "attempt": number}}
        async with self._slots:
            self.tally.attempts += 1
            webhook.last_http_status = await self._post(webhook, wire.dumps(payload))
        webhook.last_delivery_time = wire.millis(self.company.clock())
        succeeded = webhook.last_http_status is not None and 200 <= webhook.last_http_status < 300  # noqa: PLR2004
        if succeeded:
            self.tally.delivered += 1
            self.standing(webhook).last_success = self.company.clock()
        return succeeded

    async def _post(self, webhook: Subscription, body: bytes) -> int | None:
        headers = {"Content-Type": "application/json", "User-Agent": "Pipedrive-Webhook"}
        if webhook.auth:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(webhook.auth).encode()).decode()
        limit = aiohttp.ClientTimeout(total=TIMEOUT)
        try:
            async with self.session.post(
                webhook.url, data=body, headers=headers, timeout=limit, allow_redirects=False
            ) as response:
                return response.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None

    def _count_failure(self, webhook: Subscription) -> None:
        """Count a failed first attempt: ban at ten, remove after three days without success."""
        standing = self.standing(webhook)
        standing.failed_first += 1
        if standing.failed_first >= BAN_AFTER:
            standing.failed_first = 0
            standing.banned_until = self.company.clock() + BAN * self.policy.scale
        since = standing.last_success or datetime.fromisoformat(webhook.add_time)
        if self.company.clock() - since > REMOVE_AFTER * self.policy.scale:
            self.company.do(self.company.admin(), "webhook.remove", webhook.id)


async def _pause(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)
