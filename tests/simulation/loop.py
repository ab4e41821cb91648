"""An event loop in simulated time: the clock moves when nobody can act, and never while a real answer is awaited.

A process may be stopped for a while, as a suspended machine is: nothing of it runs, until it is woken and does all at once.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context, copy_context
from itertools import count
from pathlib import Path
from typing import Any, TypeVarTuple

from tests.simulation.life import LIFE, Life

Ts = TypeVarTuple("Ts")

REAL_PATIENCE = 20.0
"""Real seconds that a call of the database may take."""
LONGEST = 10 * 86400.0
"""Simulated seconds after which a story only passes time: whoever would end it waits for ever."""


class StuckError(BaseException):
    """Nobody can ever act again, or a real answer never came: the story hangs. Its notes say where everybody waits."""

    def __init__(self, why: str, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(why)
        for task in sorted(asyncio.all_tasks(loop), key=asyncio.Task.get_name):
            self.add_note(f"{task.get_name()}: {' > '.join(_frames(task.get_coro()))}")


def _frames(awaited: Any) -> Iterator[str]:
    """Where a coroutine waits, from the outside in."""
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            yield f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)


class Loop(asyncio.SelectorEventLoop):
    """`time()` is simulated. `awaited` counts the real answers under way; only while there are any, sockets are read."""

    def __init__(self) -> None:
        self.simulated = 0.0
        self.awaited = 0
        self.asleep: dict[Life, list[asyncio.Handle]] = {}
        """Stopped processes, and what each has to do once it wakes."""
        super().__init__(_Selector(self))
        self.numbers = count()
        self.set_task_factory(_Task.of)

    def time(self) -> float:
        """Simulated seconds since the story began."""
        return self.simulated

    # --- processes that are stopped --------------------------------------------------------------------------------

    def stop_process(self, life: Life) -> None:
        """Nothing of the process runs from now on."""
        self.asleep.setdefault(life, [])

    def wake_process(self, life: Life) -> None:
        """The process goes on, with what it would have done meanwhile."""
        for handle in self.asleep.pop(life, []):
            super().call_soon(handle._run)

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """As the loop does, unless whose call it is stands still when its turn comes."""
        its, made = _known(context), list[asyncio.Handle]()
        made.append(super().call_soon(self._unless_stopped(callback, its, made), *args, context=its))
        return made[0]

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As the loop does; a timer of a stopped process goes off when it wakes, unless it is cancelled before."""
        its, made = _known(context), list[asyncio.TimerHandle]()
        made.append(super().call_at(when, self._unless_stopped(callback, its, made), *args, context=its))
        return made[0]

    def _unless_stopped(
        self, callback: Callable[[*Ts], object], context: Context, made: Sequence[asyncio.Handle]
    ) -> Callable[[*Ts], None]:
        """Also what was about to run when the process was stopped waits until it wakes."""

        def run(*args: *Ts) -> None:
            life = LIFE.get()
            if life in self.asleep:
                late = asyncio.Handle(lambda: None if made[0].cancelled() else callback(*args), (), self, context)
                self.asleep[life].append(late)
            else:
                callback(*args)

        return run

    def add_signal_handler(self, sig: int, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """A simulated process gets no signals."""


def _known(context: Context | None) -> Context:
    return context if context is not None else copy_context()


class _Task(asyncio.Task[Any]):
    """A task that sets hold at a place of its own, whatever its address: who waits for many tasks walks through a set."""

    def __init__(self, coro: Any, *, loop: Loop, **kwargs: Any) -> None:
        self._number = next(loop.numbers)
        super().__init__(coro, loop=loop, **kwargs)

    def __hash__(self) -> int:
        return self._number

    @classmethod
    def of(cls, loop: Any, coro: Any, **kwargs: Any) -> _Task:
        """What the loop calls for each new task."""
        return cls(coro, loop=loop, **kwargs)


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
                raise StuckError("the database does not answer", self._loop)
            return found
        if timeout is None:
            raise StuckError("nobody can act: every task waits for another", self._loop)
        self._loop.simulated += timeout
        if self._loop.simulated > LONGEST:
            raise StuckError("time passes, and the story goes on no more", self._loop)
        return []
