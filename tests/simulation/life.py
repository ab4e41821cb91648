"""The life of a simulated process: it ends at a chosen effect, and then nothing of it acts any more.

Death is a BaseException that every later call of that incarnation raises too; its database sessions and its connections
to the CRM are cut. Whatever was under way may or may not have happened; at a commit or at a write to the CRM it is certain.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import asyncpg

UNMORTAL = frozenset({"close", "received", "compare", "capabilities", "budget", "link_url", "recall"})


EFFECT, BEFORE_COMMIT, AFTER_COMMIT, BEFORE_WRITE, AFTER_WRITE = MOMENTS = (
    "effect",
    "before a commit",
    "after a commit",
    "before a write",
    "after a write",
)
"""Kinds of moments at which a process may end."""


class Death(BaseException):
    """The process is no more."""


@dataclass(slots=True, eq=False)
class Life:
    """One incarnation of a process: so many moments are left (None: no end is set), and what its death cuts."""

    left: int | None = None
    moment: str = EFFECT
    dead: bool = False
    name: str = ""
    sessions: list[asyncpg.Connection] = field(default_factory=list)
    bury: list[Callable[[], None]] = field(default_factory=list)

    def check(self) -> None:
        """The dead do nothing."""
        if self.dead:
            raise Death

    def spend(self, moment: str = EFFECT) -> None:
        """One moment; the last one of its kind kills."""
        self.check()
        if self.left is not None and moment == self.moment:
            self.left -= 1
            if self.left <= 0:
                self.end()
                raise Death

    def end(self) -> None:
        """Dies now: nothing of it acts any more, its connections are cut."""
        if not self.dead:
            self.dead = True
            for cut in self.bury:
                cut()


LIFE: ContextVar[Life | None] = ContextVar("life", default=None)
"""Whose code runs: None for people and for the CRM."""


class MortalCRM:
    """A CRM adapter that dies before or after a call."""

    def __init__(self, crm: Any, life: Life) -> None:
        self._crm, self._life = crm, life

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._crm, name)
        if name in UNMORTAL or not inspect.iscoroutinefunction(found):
            return found
        return self._mortal(found, writes=name == "write")

    def _mortal(self, call: Callable[..., Any], *, writes: bool) -> Callable[..., Any]:
        async def called(*args: Any, **kwargs: Any) -> Any:
            self._spend(writes, BEFORE_WRITE)
            try:
                return await call(*args, **kwargs)
            finally:
                self._spend(writes, AFTER_WRITE)

        return called

    def _spend(self, writes: bool, moment: str) -> None:  # noqa: FBT001
        self._life.spend()
        if writes:
            self._life.spend(moment)
