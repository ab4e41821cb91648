"""The life of a simulated process: it ends at a chosen effect, and then nothing of it acts any more."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

import asyncpg


class Death(BaseException):
    """The process is no more."""


@dataclass(slots=True)
class Life:
    """One incarnation of a process: `left` effects until it dies, None: no end is set."""

    name: str
    left: int | None = None
    dead: bool = False
    sessions: list[asyncpg.Connection] = field(default_factory=list)
    bury: list[Callable[[], None]] = field(default_factory=list)

    def check(self) -> None:
        """The dead do nothing."""
        if self.dead:
            raise Death

    def spend(self) -> None:
        """One effect; the last one kills."""
        self.check()
        if self.left is not None:
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
