"""The limiter: no window is exceeded, no lane starves, the server is believed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.errors import RateLimitedError, UnavailableError
from connector.core.model import Lane
from connector.crm.budget import Limiter
from connector.crm.ledger import Told
from tests.crm.simulation import BEGAN, Simulation, settle

LONG = 100_000.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that wants to leave."""

    at: float
    lane: Lane
    cost: int


@dataclass(slots=True)
class Scene:
    """A limiter in simulated time, what it granted and refused."""

    limiter: Limiter
    time: Simulation
    granted: list[tuple[float, Arrival]] = field(default_factory=list)
    refused: list[tuple[Arrival, RateLimitedError]] = field(default_factory=list)

    async def ask(self, arrival: Arrival) -> None:
        """One request, at its time."""
        if arrival.at > self.time.seconds:
            await self.time.sleep(arrival.at - self.time.seconds)
        try:
            await self.limiter.admit(arrival.cost, arrival.lane)
            self.granted.append((self.time.seconds, arrival))
        except RateLimitedError as error:
            self.refused.append((arrival, error))

    async def ask_all(self, arrivals: Sequence[Arrival], until: float = LONG) -> None:
        """Requests, and time until all are answered."""
        async with asyncio.TaskGroup() as group:
            for arrival in arrivals:
                group.create_task(self.ask(arrival))
            await self.time.pass_until(until)


def scene(*, burst: int = 10, window: float = 2.0, daily: float | None = None, reserve: float = 0.2) -> Scene:
    """A fresh limiter."""
    time = Simulation()
    return Scene(Limiter(time.clock, daily=daily, reserve=reserve, burst=burst, window=window), time)


def simulated(test: Callable[[Scene], Coroutine[None, None, None]], one: Scene) -> None:
    """Run a scene to its end."""

    async def run() -> None:
        await test(one)
        await one.limiter.close()

    asyncio.run(run())


arrivals = st.lists(
    st.builds(
        Arrival, at=st.floats(0, 20).map(lambda at: round(at, 2)), lane=st.sampled_from(Lane), cost=st.integers(1, 40)
    ),
    max_size=80,
)


@given(arrivals, st.integers(1, 12), st.floats(0.5, 3))
def test_no_burst_window_is_exceeded_and_everyone_goes(asked: list[Arrival], burst: int, window: float) -> None:
    """In any window at most `burst` requests leave; all do in the end, in order of arrival within a lane."""

    async def play(one: Scene) -> None:
        await one.ask_all(asked)
        times = [at for at, _ in one.granted]
        assert all(later - sooner >= window - 1e-9 for sooner, later in zip(times, times[burst:], strict=False))
        assert len(one.granted) == len(asked)
        for lane in Lane:
            order = [arrival.at for _, arrival in one.granted if arrival.lane is lane]
            assert order == sorted(order)

    simulated(play, scene(burst=burst, window=window))


@given(arrivals, st.integers(50, 400), st.floats(0, 1))
def test_the_day_and_its_reserve_hold(asked: list[Arrival], daily: int, reserve: float) -> None:
    """No more than the day's tokens are charged; low lanes leave the reserve; refusals name the day."""

    async def play(one: Scene) -> None:
        await one.ask_all(asked)
        left = float(daily)
        for _, arrival in one.granted:
            left -= arrival.cost
            assert left >= (0 if arrival.lane <= Lane.LIVE else daily * reserve) - 1e-9
        assert all(error.daily and error.until is not None for _, error in one.refused)
        assert len(one.granted) + len(one.refused) == len(asked)

    simulated(play, scene(daily=daily, reserve=reserve, burst=1000))


@given(st.sets(st.sampled_from(Lane), min_size=1), st.integers(1, 25))
def test_no_lane_starves(lanes: set[Lane], burst: int) -> None:
    """While all wait, each lane gets a tenth of the turns and the highest gets the rest."""

    async def play(one: Scene) -> None:
        await one.ask_all([Arrival(0, lane, 1) for _ in range(100) for lane in sorted(lanes)])
        first = [arrival.lane for _, arrival in one.granted[burst : burst + 60]]
        for lane in lanes:
            assert first.count(lane) >= 5
        assert first.count(min(lanes)) >= 60 - 6 * (len(lanes) - 1)

    simulated(play, scene(burst=burst))


def test_a_busy_lane_of_one_at_a_time_starves_nobody() -> None:
    """A lane whose next request comes only after its last one was granted still shares."""

    async def play(one: Scene) -> None:
        async def endless() -> None:
            for _ in range(100):
                await one.ask(Arrival(0, Lane.LIVE, 1))

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(endless())
            group.create_task(one.ask(Arrival(0, Lane.FETCH_ALL, 1)))
            await one.time.pass_until(LONG)
        lanes = [arrival.lane for _, arrival in one.granted]
        assert lanes.index(Lane.FETCH_ALL) <= 20

    simulated(play, scene(burst=4))


def test_thousands_wait_without_a_busy_loop() -> None:
    """Waking is bounded by what leaves, not by who waits."""

    async def play(one: Scene) -> None:
        await one.ask_all([Arrival(0, Lane.LIVE, 1)] * 5000)
        assert len(one.granted) == 5000
        assert one.time.seconds >= (5000 / 20 - 1) * 2.0
        assert one.time.sleeps <= 300

    simulated(play, scene(burst=20))


async def test_others_under_the_same_token_count() -> None:
    """What the server says remains wins where it is less; slow and overtaking answers invent nobody."""
    one = scene(burst=20)
    marks = []
    for _ in range(4):
        await one.limiter.admit(1, Lane.LIVE)
        marks.append(one.limiter.mark())
    for mark, remaining in zip(reversed(marks), (16, 17, 18, 19), strict=True):
        one.limiter.hear(Told(limit=20, remaining=remaining, reset=2), mark)
    assert free(one) == 16
    one.limiter.hear(Told(limit=20, remaining=5, reset=2), marks[-1])
    assert free(one) == 5
    await one.time.pass_until(2.5)
    assert free(one) == 20


async def test_a_slow_answer_is_not_taken_for_others() -> None:
    """What was counted when our own requests filled the window says nothing once they have left it."""
    one = scene(burst=5)
    for _ in range(5):
        await one.limiter.admit(1, Lane.LIVE)
    mark = one.limiter.mark()
    await one.time.pass_until(2.5)
    one.limiter.hear(Told(limit=5, remaining=0, reset=2), mark)
    assert free(one) == 5


async def test_the_limit_is_learnt() -> None:
    """The header's limit takes the place of the assumed one, at once for those who wait."""
    one = scene(burst=2)
    asking = [asyncio.create_task(one.ask(Arrival(0, Lane.LIVE, 1))) for _ in range(10)]
    await settle()
    assert len(one.granted) == 2
    one.limiter.hear(Told(limit=40), one.limiter.mark())
    await settle()
    assert len(one.granted) == 10
    await asyncio.gather(*asking)
    await one.limiter.close()


async def test_what_the_server_says_remains_of_the_day_wins() -> None:
    """The told remainder counts down by what was charged after the answer's request left."""
    one = scene()
    await one.limiter.admit(10, Lane.LIVE)
    mark = one.limiter.mark()
    await one.limiter.admit(5, Lane.LIVE)
    one.limiter.hear(Told(daily_limit=1000, daily_remaining=300), mark)
    assert remaining(one) == 295


async def test_nothing_leaves_after_a_refusal_until_the_reset() -> None:
    """A short pause is waited for; afterwards one request asks first, and its answer opens the way."""
    one = scene(burst=10)
    await one.limiter.admit(1, Lane.LIVE)
    error = one.limiter.refused(Told(reset=2), one.limiter.mark(), 1)
    assert (error.daily, error.until) == (False, BEGAN + timedelta(seconds=2))
    with pytest.raises(RateLimitedError):
        one.limiter.check()
    asking = [asyncio.create_task(one.ask(Arrival(0, Lane.LIVE, 1))) for _ in range(3)]
    await one.time.pass_until(1.9)
    assert one.granted == []
    await one.time.pass_until(2.1)
    assert len(one.granted) == 1
    one.limiter.hear(Told(), one.limiter.mark())
    await settle()
    assert len(one.granted) == 3
    await asyncio.gather(*asking)
    await one.limiter.close()


async def test_refusals_that_say_nothing_back_off() -> None:
    """Without headers each refusal doubles the pause; several answers to one burst count once."""
    one = scene()
    pauses = []
    for _ in range(3):
        for _ in range(4):
            error = one.limiter.refused(Told(), one.limiter.mark(), 1)
        assert error.until is not None
        pauses.append((error.until - one.time.now()).total_seconds())
        await one.time.pass_until(one.time.seconds + pauses[-1])
    assert pauses == [2, 4, 8]


async def test_a_long_pause_is_not_waited_for() -> None:
    """Who waits when a long pause begins hears when to come back, and so does who comes later."""
    one = scene(burst=1)
    asking = [asyncio.create_task(one.ask(Arrival(0, Lane.LIVE, 1))) for _ in range(3)]
    await settle()
    one.limiter.pause(60)
    await one.ask(Arrival(0, Lane.MANUAL, 1))
    await asyncio.gather(*asking)
    assert len(one.granted) == 1
    assert {error.until for _, error in one.refused} == {BEGAN + timedelta(seconds=60)}
    await one.limiter.close()


async def test_a_spent_day_is_asked_about_again_within_the_hour() -> None:
    """Where the day ends nobody says: after the pause one request may find out."""
    one = scene()
    error = one.limiter.refused(Told(daily_limit=100, daily_remaining=0), one.limiter.mark(), 1)
    assert (error.daily, error.until) == (True, BEGAN + timedelta(hours=1))
    await one.ask(Arrival(0, Lane.MANUAL, 1))
    assert [each.daily for _, each in one.refused] == [True]
    await one.time.pass_until(3600.5)
    await one.ask(Arrival(0, Lane.LIVE, 1))
    assert len(one.granted) == 1


async def test_a_spent_day_is_asked_about_again_after_a_restart() -> None:
    """Nobody refused the new process anything: what its predecessor was told grows old all the same.

    Fails when only a refusal is forgotten: the connection stood still until midnight UTC.
    """
    first = scene()
    first.limiter.refused(Told(daily_limit=100, daily_remaining=0), first.limiter.mark(), 1)
    second = scene()
    second.limiter.resume(first.limiter.spending())
    await second.ask(Arrival(0, Lane.LIVE, 1))
    assert [error.until for _, error in second.refused] == [BEGAN + timedelta(hours=1)]
    await second.time.pass_until(3600.5)
    await second.ask(Arrival(0, Lane.LIVE, 1))
    assert len(second.granted) == 1
    await second.limiter.close()


async def test_the_day_turns_at_midnight() -> None:
    """A configured budget is whole again on the next day."""
    time = Simulation(datetime(2026, 5, 4, 23, 59, 50, tzinfo=UTC))
    one = Scene(Limiter(time.clock, daily=10), time)
    await one.limiter.admit(10, Lane.LIVE)
    with pytest.raises(RateLimitedError) as caught:
        await one.limiter.admit(1, Lane.LIVE)
    assert caught.value.until == datetime(2026, 5, 5, tzinfo=UTC)
    await time.pass_until(10)
    await one.limiter.admit(10, Lane.LIVE)
    assert remaining(one) == 0


async def test_a_low_lane_may_be_let_into_the_reserve() -> None:
    """The flag opens the reserve for one request."""
    one = scene(daily=100, reserve=0.5)
    await one.limiter.admit(50, Lane.LIVE)
    with pytest.raises(RateLimitedError):
        await one.limiter.admit(10, Lane.SWEEP)
    await one.limiter.admit(10, Lane.SWEEP, past_reserve=True)
    assert remaining(one) == 40


async def test_a_restart_goes_on_from_what_was_spent() -> None:
    """The admin's limit holds for the day, not for the process; the next day is a new one."""
    first = scene(daily=100)
    await first.limiter.admit(70, Lane.LIVE)
    second = scene(daily=100)
    second.limiter.resume(first.limiter.spending())
    assert remaining(second) == 30
    with pytest.raises(RateLimitedError):
        await second.limiter.admit(31, Lane.LIVE)
    await second.limiter.admit(30, Lane.LIVE)
    later = Scene(Limiter(Simulation(BEGAN + timedelta(days=1)).clock, daily=100), Simulation())
    later.limiter.resume(second.limiter.spending())
    assert remaining(later) == 100


async def test_what_the_server_tells_wins_over_what_was_noted() -> None:
    """Until its first answer the note is believed: others may have spent since, nobody gave back."""
    first = scene()
    first.limiter.hear(Told(daily_limit=1000, daily_remaining=400), first.limiter.mark())
    second = scene()
    second.limiter.resume(first.limiter.spending())
    assert remaining(second) == 400
    with pytest.raises(RateLimitedError):
        await second.limiter.admit(201, Lane.SWEEP)
    second.limiter.hear(Told(daily_limit=1000, daily_remaining=900), second.limiter.mark())
    assert remaining(second) == 900


async def test_taking_over_twice_spends_nothing_twice() -> None:
    """A process that owned the connection, lost it and has it again knows its own part already."""
    one = scene(daily=100)
    await one.limiter.admit(40, Lane.LIVE)
    one.limiter.resume(one.limiter.spending())
    assert remaining(one) == 60


async def test_who_gives_up_takes_no_turn() -> None:
    """A cancelled waiter is passed over and nothing is charged for it."""
    one = scene(burst=1)
    await one.limiter.admit(1, Lane.LIVE)
    asking = [asyncio.create_task(one.ask(Arrival(0, Lane.LIVE, 1))) for _ in range(2)]
    await settle()
    asking[0].cancel()
    await one.time.pass_until(2.1)
    assert len(one.granted) == 1
    await asyncio.gather(*asking, return_exceptions=True)


async def test_closing_ends_every_wait() -> None:
    """Who waits when the connection is closed hears so."""
    one = scene(burst=1)
    await one.limiter.admit(1, Lane.LIVE)
    waiting = asyncio.create_task(one.limiter.admit(1, Lane.LIVE))
    await settle()
    await one.limiter.close()
    with pytest.raises(UnavailableError):
        await waiting


def free(one: Scene) -> float:
    """Requests that may leave now."""
    return one.limiter.windows()[0].remaining


def remaining(one: Scene) -> float:
    """Tokens left today."""
    return one.limiter.windows()[1].remaining
