"""What processes and the database spend: CPU from /proc, transactions and sessions from the server's statistics."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent until a moment: CPU seconds of each process, transactions of the database."""

    at: float
    cpu: Sequence[float]
    transactions: int

    @classmethod
    async def now(cls, db: asyncpg.Connection, pids: Sequence[int]) -> Spent:
        """Until now. The server's statistics are up to a second old."""
        count = await db.fetchval(
            "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()"
        )
        return cls(time.monotonic(), [cpu_seconds(pid) for pid in pids], count)

    def since(self, before: Spent) -> tuple[list[float], float]:
        """CPU of each process in percent of a core, and transactions per second."""
        seconds = self.at - before.at
        shares = [100 * (now - then) / seconds for now, then in zip(self.cpu, before.cpu, strict=True)]
        return shares, (self.transactions - before.transactions) / seconds


def cpu_seconds(pid: int) -> float:
    """What a process has spent in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def table(rows: Sequence[tuple[str, object]]) -> str:
    """Names and figures below each other."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in rows)
