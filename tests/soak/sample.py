"""What a daemon and its database hold at one moment."""

from __future__ import annotations

import itertools
import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
LE = re.compile(r'le="([^"]+)"')
METRIC = re.compile(r"^(\w+)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment. `synced` is, since the daemon began, how many changes agreed within so many seconds of being noticed."""

    at: float
    edits: int
    rss: int
    files: int
    tasks: int
    sessions: int
    cpu: float
    synced: Mapping[float, float]
    sizes: Mapping[str, tuple[int, int, int]]
    """Table → (bytes with indexes, living rows, dead rows)."""


async def take(db: asyncpg.Connection, url: str, pid: int, *, at: float, edits: int) -> Sample:
    """What there is now."""
    metrics, synced = await _metrics(url)
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
        synced=synced,
        sizes={row["name"]: (row["bytes"], row["live"], row["dead"]) for row in rows},
    )


async def _metrics(url: str) -> tuple[Mapping[str, float], Mapping[float, float]]:
    """The sum of every metric over its labels, and the buckets of how long changes took."""
    async with aiohttp.ClientSession() as http, http.get(f"{url}/metrics") as answer:
        text = await answer.text()
    found, synced = defaultdict[str, float](float), defaultdict[float, float](float)
    for name, labels, value in METRIC.findall(text):
        found[name] += float(value)
        if (le := LE.search(labels)) and name == "connector_sync_seconds_bucket":
            synced[float(le[1])] += float(value)
    return found, synced


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
        ["noticed to agreed since then: half within, ms", *_between(moments, partial(_within, share=0.5))],
        ["… 95 of 100 within, ms", *_between(moments, partial(_within, share=0.95))],
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


def _within(before: Sample, after: Sample, *, share: float) -> str:
    """The bucket of the histogram within which so large a share agreed; who waits for an unknown outcome waits a minute."""
    counts = {le: n - before.synced.get(le, 0.0) for le, n in sorted(after.synced.items())}
    whole = counts.get(math.inf, 0.0)
    found = next((le for le, n in counts.items() if n >= share * whole), math.inf)
    return f"{1000 * found:,.0f}" if whole and found < math.inf else ""


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    head, *rest = rows
    lines = [head, ["---", *("---:" for _ in head[1:])], *rest]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
