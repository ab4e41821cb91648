"""Many small writes, one commit: whoever comes while a flush runs shares the next one.

No timer decides: a lone item is flushed at once, and batches grow exactly as far as the database is slower than the
callers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class GroupCommit(Generic[T, R]):
    """Collects items and hands them to `flush` in order, one flush after the other, until they weigh `limit`.

    `flush` makes the batch durable and returns one result per item in the same order. When it fails, every waiter of
    that batch gets the error and the next batch is tried as if nothing had happened.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        limit: int = 1000,
        weigh: Callable[[T], int] = lambda _: 1,
    ) -> None:
        self._flush, self._limit, self._weigh = flush, limit, weigh
        self._queue: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._running: asyncio.Task[None] | None = None
        self._closed = False

    async def submit(self, item: T) -> R:
        """The result for `item`, once the batch holding it is durable.

        A caller cancelled before its flush began withdraws the item; later, the flush goes on without it.
        """
        if self._closed:
            raise RuntimeError("group commit is closed")
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._queue.append((item, answer))
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="group-commit")
        return await answer

    async def close(self) -> None:
        """Refuses new items and returns when all accepted ones are answered."""
        self._closed = True
        while self._running is not None:
            await asyncio.wait({self._running})

    async def _run(self) -> None:
        try:
            while batch := self._take():
                await self._settle(batch)
        finally:
            self._running = None
            self._abandon()

    def _take(self) -> list[tuple[T, asyncio.Future[R]]]:
        batch: list[tuple[T, asyncio.Future[R]]] = []
        weight = 0
        while self._queue and weight < self._limit:
            waiting = self._queue.popleft()
            if not waiting[1].done():
                batch.append(waiting)
                weight += self._weigh(waiting[0])
        return batch

    async def _settle(self, batch: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self._flush([item for item, _ in batch])
            answered = list(zip(batch, results, strict=True))
        except asyncio.CancelledError:
            _each(batch, lambda answer: answer.cancel())
            raise
        except BaseException as error:  # noqa: BLE001  # not handled here: handed to those who wait for it
            failure = error
            _each(batch, lambda answer: answer.set_exception(failure))
        else:
            for (_, answer), result in answered:
                if not answer.done():
                    answer.set_result(result)

    def _abandon(self) -> None:
        """Leaves nobody waiting when the flushing task itself was cancelled."""
        _each(self._queue, lambda answer: answer.cancel())
        self._queue.clear()


def _each(batch: Sequence[tuple[T, asyncio.Future[R]]], act: Callable[[asyncio.Future[R]], object]) -> None:
    for _, answer in batch:
        if not answer.done():
            act(answer)
