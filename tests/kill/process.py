"""A daemon in a process of its own, which can be killed, stopped and woken."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(slots=True)
class Process:
    """`python -m COMMAND`, one incarnation after the other; what it says goes to `log`."""

    command: Sequence[str]
    variables: Mapping[str, str]
    log: Path
    running: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The number of this incarnation."""
        assert self.running is not None
        return self.running.pid

    @property
    def ended(self) -> bool:
        """True once this incarnation is over."""
        return self.running is not None and self.running.returncode is not None

    async def start(self) -> None:
        """Another incarnation."""
        with self.log.open("ab") as log:
            self.running = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *self.command,
                cwd=ROOT,
                env={**os.environ, **self.variables},
                stdout=log,
                stderr=log,
            )

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP, SIGCONT, SIGTERM."""
        assert self.running is not None
        self.running.send_signal(number)

    async def kill(self) -> None:
        """Ends it at once, also while it is stopped."""
        if self.running is None:
            return
        if self.running.returncode is None:
            self.running.kill()
        await self.running.wait()

    def tail(self, characters: int = 4000) -> str:
        """The end of what it said."""
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else ""
