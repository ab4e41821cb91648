"""An event loop in simulated time: the clock moves when nobody can act, and never while a real answer is awaited."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import TypeVarTuple

Ts = TypeVarTuple("Ts")

REAL_PATIENCE = 20.0
"""Real seconds that a call of the database may take."""


class StuckError(BaseException):
    """Nobody can ever act again, or a real answer never came: the story hangs."""


class Loop(asyncio.SelectorEventLoop):
    """`time()` is simulated. `awaited` counts the real answers under way; only while there are any, sockets are read."""

    def __init__(self) -> None:
        self.simulated = 0.0
        self.awaited = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Simulated seconds since the story began."""
        return self.simulated

    def add_signal_handler(self, sig: int, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """A simulated process gets no signals."""


class _Selector(selectors.DefaultSelector):
    """Reads sockets only for awaited answers; otherwise lets time pass until the next timer."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return []
        if self._loop.awaited:
            found = super().select(REAL_PATIENCE)
            if not found:
                raise StuckError("the database does not answer")
            return found
        if timeout is None:
            raise StuckError("nobody can act: every task waits for another")
        self._loop.simulated += timeout
        return []
