"""What a daemon and its database hold at one moment."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg

from tests.replicas.figures import cpu_seconds

TABLES = ("change", "event", "work", "intent", "link", "journal", "request", "match_key", "lease")
SIZES = """
select t.name, sum(pg_total_relation_size(c.oid))::bigint as bytes, sum(pg_stat_get_live_tuples(c.oid))::bigint as live,
       sum(pg_stat_get_dead_tuples(c.oid))::bigint as dead
from unnest($1::text[]) t(name)
join pg_class c on c.relnamespace = 'connector'::regnamespace and c.relkind = 'r'
  and (c.relname = t.name or (t.name = 'journal' and c.relname like 'journal\\_%'))
group by t.name
"""
METRIC = re.compile(r"^(\w+)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment. `synced` is (changes, seconds in all) from noticed to agreed, since the daemon began."""

    at: float
    edits: int
    rss: int
    files: int
    tasks: int
    sessions: int
    cpu: float
    synced: tuple[float, float]
    sizes: Mapping[str, tuple[int, int, int]]
    """Table → (bytes with indexes, living rows, dead rows)."""


async def take(db: asyncpg.Connection, url: str, pid: int, *, at: float, edits: int) -> Sample:
    """What there is now."""
    metrics = await _metrics(url)
    rows = await db.fetch(SIZES, list(TABLES))
    sessions = await db.fetchval(
        "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'connector'"
    )
    return Sample(
        at=at,
        edits=edits,
        rss=_rss(pid),
        files=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        tasks=int(metrics["connector_tasks"]),
        sessions=sessions,
        cpu=cpu_seconds(pid),
        synced=(metrics["connector_sync_seconds_count"], metrics["connector_sync_seconds_sum"]),
        sizes={row["name"]: (row["bytes"], row["live"], row["dead"]) for row in rows},
    )


async def _metrics(url: str) -> Mapping[str, float]:
    """The sum of every metric over its labels."""
    async with aiohttp.ClientSession() as http, http.get(f"{url}/metrics") as answer:
        text = await answer.text()
    found: dict[str, float] = {}
    for name, _, value in METRIC.findall(text):
        found[name] = found.get(name, 0.0) + float(value)
    return {"connector_sync_seconds_count": 0.0, "connector_sync_seconds_sum": 0.0, **found}


def _rss(pid: int) -> int:
    """Bytes of memory that a process holds."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def report(samples: Mapping[str, Sample]) -> Sequence[Sequence[str]]:
    """The figures of several moments side by side, the names of the moments first."""
    moments = list(samples.values())
    rows: list[list[str]] = [
        ["", *samples],
        ["minutes", *(f"{s.at / 60:.1f}" for s in moments)],
        ["edits by people", *(f"{s.edits:,}" for s in moments)],
        ["memory, MiB", *(f"{s.rss / 2**20:.0f}" for s in moments)],
        ["asyncio tasks", *(str(s.tasks) for s in moments)],
        ["open files", *(str(s.files) for s in moments)],
        ["sessions of the database", *(str(s.sessions) for s in moments)],
        ["CPU since the moment before, %", *_between(moments, _cpu)],
        ["noticed to agreed since then, ms", *_between(moments, _latency)],
    ]
    for name in TABLES:
        sizes = [s.sizes.get(name, (0, 0, 0)) for s in moments]
        rows.append([f"`{name}`: KiB", *(f"{size // 1024:,}" for size, _, _ in sizes)])
        rows.append([f"`{name}`: living / dead rows", *(f"{live:,} / {dead:,}" for _, live, dead in sizes)])
    return rows


def _between(moments: Sequence[Sample], figure: Callable[[Sample, Sample], str]) -> list[str]:
    return ["", *(figure(before, after) for before, after in itertools.pairwise(moments))]


def _cpu(before: Sample, after: Sample) -> str:
    return f"{100 * (after.cpu - before.cpu) / (after.at - before.at):.0f}"


def _latency(before: Sample, after: Sample) -> str:
    """The mean; records that waited for an unknown outcome are in it."""
    count = after.synced[0] - before.synced[0]
    return f"{1000 * (after.synced[1] - before.synced[1]) / count:.0f}" if count else ""


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    head, *rest = rows
    lines = [head, ["---", *("---:" for _ in head[1:])], *rest]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
