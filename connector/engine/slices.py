"""Long work in slices: a page of records computed at a stretch would keep every answer of the database waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")
SLICE = 10


async def in_slices(items: Iterable[T]) -> AsyncIterator[T]:
    """The items; after every so many of them, whoever waits for his turn has it."""
    for number, item in enumerate(items, 1):
        yield item
        if number % SLICE == 0:
            await asyncio.sleep(0)
