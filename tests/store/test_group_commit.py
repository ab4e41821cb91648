"""Group commit: everybody answered, order kept, a failure stays in its batch."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.store.group_commit import GroupCommit


class DiskFullError(Exception):
    """What the flush of these tests fails with."""


@dataclass
class Ledger:
    """A flush that writes down its batches, takes `turns` of the loop each and fails for batches holding a bad item."""

    turns: int = 1
    bad: frozenset[int] = frozenset()
    batches: list[list[int]] = field(default_factory=list)
    busy: bool = False

    async def flush(self, items: Sequence[int]) -> Sequence[int]:
        """The negated items."""
        assert not self.busy, "two flushes at once"
        self.busy = True
        self.batches.append(list(items))
        try:
            for _ in range(self.turns):
                await asyncio.sleep(0)
        finally:
            self.busy = False
        if self.bad.intersection(items):
            raise DiskFullError
        return [-item for item in items]


@given(
    arrivals=st.lists(st.integers(0, 3), min_size=1, max_size=60),
    bad=st.frozensets(st.integers(0, 60)),
    limit=st.integers(1, 10),
    turns=st.integers(0, 3),
)
def test_every_submit_is_answered_in_order_and_failures_stay_in_their_batch(
    arrivals: list[int], bad: frozenset[int], limit: int, turns: int
) -> None:
    """Whatever the arrivals, each waiter gets its own result, or the error of the one batch that held its item."""

    async def scenario() -> tuple[Ledger, list[int | BaseException]]:
        ledger = Ledger(turns, bad)
        commit = GroupCommit(ledger.flush, limit=limit)
        tasks = []
        for item, pause in enumerate(arrivals):
            tasks.append(asyncio.create_task(commit.submit(item)))
            for _ in range(pause):
                await asyncio.sleep(0)
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        await commit.close()
        return ledger, answers

    ledger, answers = asyncio.run(scenario())
    assert [item for batch in ledger.batches for item in batch] == list(range(len(arrivals)))
    assert all(0 < len(batch) <= limit for batch in ledger.batches)
    for batch in ledger.batches:
        for item in batch:
            answer = answers[item]
            assert isinstance(answer, DiskFullError) if bad.intersection(batch) else answer == -item


@given(
    cancelled=st.frozensets(st.integers(0, 19)),
    turns=st.integers(0, 5),
    limit=st.integers(1, 20),
    before=st.integers(0, 10),
)
def test_a_cancelled_waiter_disturbs_nobody(cancelled: frozenset[int], turns: int, limit: int, before: int) -> None:
    """Whenever waiters are cancelled, all others are answered, and an item not yet flushed is withdrawn."""

    async def scenario() -> None:
        ledger = Ledger(turns)
        commit = GroupCommit(ledger.flush, limit=limit)
        tasks = [asyncio.create_task(commit.submit(item)) for item in range(20)]
        for _ in range(before):
            await asyncio.sleep(0)
        begun = {item for batch in ledger.batches for item in batch}
        gone = {item for item in cancelled if tasks[item].cancel()}
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        await commit.close()
        flushed = {item for batch in ledger.batches for item in batch}
        assert flushed == set(range(20)) - (gone - begun)
        assert all(answers[item] == -item for item in range(20) if item not in gone)

    asyncio.run(scenario())


async def test_what_queues_while_a_flush_runs_goes_together() -> None:
    """The first item goes alone at once; all that came meanwhile share the next flush."""
    ledger, started, release = Ledger(), asyncio.Event(), asyncio.Event()

    async def flush(items: Sequence[int]) -> Sequence[int]:
        started.set()
        await release.wait()
        return await ledger.flush(items)

    commit = GroupCommit(flush)
    first = asyncio.create_task(commit.submit(1))
    await started.wait()
    others = [asyncio.create_task(commit.submit(item)) for item in (2, 3, 4)]
    await asyncio.sleep(0)
    release.set()
    await asyncio.gather(first, *others)
    assert ledger.batches == [[1], [2, 3, 4]]


async def test_close_drains_and_then_refuses() -> None:
    """What was accepted is flushed before close returns; what comes later is refused."""
    ledger = Ledger(turns=3)
    commit = GroupCommit(ledger.flush, limit=2)
    tasks = [asyncio.create_task(commit.submit(item)) for item in range(5)]
    await asyncio.sleep(0)
    await commit.close()
    assert await asyncio.gather(*tasks) == [-item for item in range(5)]
    with pytest.raises(RuntimeError, match="closed"):
        await commit.submit(9)


async def test_a_flush_that_miscounts_fails_its_batch() -> None:
    """A flush that does not answer for each item answers for none."""

    async def flush(_: Sequence[int]) -> Sequence[int]:
        return []

    commit = GroupCommit(flush)
    with pytest.raises(ValueError, match="shorter"):
        await commit.submit(1)


async def test_a_death_of_the_flush_reaches_the_waiters() -> None:
    """Even what is no Exception is told to those who wait, and nobody hangs."""

    class DeathError(BaseException):
        pass

    async def flush(_: Sequence[int]) -> Sequence[int]:
        raise DeathError

    commit = GroupCommit(flush)
    for item in range(3):
        with pytest.raises(DeathError):
            await commit.submit(item)
