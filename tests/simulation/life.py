"""The life of a simulated process: it ends at a chosen effect, and then nothing of it acts any more."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

import asyncpg

from tests.engine import mortal


@dataclass(slots=True)
class Life(mortal.Life):
    """One incarnation of a process, and what its death cuts."""

    name: str = ""
    sessions: list[asyncpg.Connection] = field(default_factory=list)
    bury: list[Callable[[], None]] = field(default_factory=list)

    def end(self) -> None:
        """Dies now: nothing of it acts any more, its connections are cut."""
        if not self.dead:
            self.dead = True
            for cut in self.bury:
                cut()


LIFE: ContextVar[Life | None] = ContextVar("life", default=None)
"""Whose code runs: None for people and for the CRM."""
