"""Prints the table of figures and writes them as JSON: `make bench`, or `python -m tests.bench NAME…` for some of them."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import capture, fetch_all, intake, latency, recent_sweep, tokens

Figures = Mapping[str, float]
PROCESSES = ("daemon", "postgres", "sandbox")
RESULT = Path("bench.json")
BENCHES: Mapping[str, Callable[[], Awaitable[Figures]]] = {
    "intake": intake.run,
    "latency": latency.run,
    "latency_growth": lambda: latency.run(latency.GROWTH),
    "fetch_all": fetch_all.run,
    "tokens": tokens.run,
    "capture": capture.run,
    "recent_sweep": recent_sweep.run,
}


def _ms(figures: Figures, name: str) -> str:
    p50, p99, bare = (figures[f"{name}_{part}_ms"] for part in ("p50", "p99", "bare"))
    return f"p50 {p50:.0f}, p99 {p99:.0f} ms (the bare calls: {bare:.0f} ms)"


def _of(figures: Figures, name: str) -> str:
    """Records per second, their share of the ceiling, and what each costs the daemon, PostgreSQL and the sandbox."""
    rate, cost = figures[f"{name}_per_s"], [figures[f"{name}_{process}_us"] for process in PROCESSES]
    share = f"{rate / figures['ceiling_per_s']:.0%} of paging and decoding"
    return f"{rate:,.0f}/s ({share}; processor {' + '.join(f'{us:.0f}' for us in cost)} µs each)"


def _flat(figures: Figures) -> str:
    return f"{figures['few_ms']:.0f} → {figures['many_ms']:.0f} ms, {figures['tokens']:.0f} tokens"


def _more(ratio: float) -> str:
    return f"{ratio - 1:+.0%}"


def _beside(figures: Figures, name: str, show: Callable[[float], str]) -> str:
    ours, floor, by_cpu, floor_by_cpu = (
        show(figures[f"{table}_{name.format(kind)}"]) for kind in ("time", "cpu") for table in ("captured", "floor")
    )
    return f"{ours} (a bare trigger: {floor}); by CPU time {by_cpu} ({floor_by_cpu})"


ROWS: tuple[tuple[str, str, str, Callable[[Figures], str]], ...] = (
    (
        "intake",
        "webhook intake vs bare handler",
        "≥ 100 %",
        lambda f: f"{f['ratio']:.0%} of {f['ceiling_per_s']:,.0f}/s; by CPU time {f['cpu_ratio']:.0%}",
    ),
    ("latency", "CRM → row at 20/s", "p50 ≤ 40, p99 ≤ 150 ms", lambda f: _ms(f, "crm_to_row")),
    ("latency", "row → CRM at 20/s", "p50 ≤ 40, p99 ≤ 150 ms", lambda f: _ms(f, "row_to_crm")),
    ("latency_growth", "CRM → row at 5/s, Growth limits", "", lambda f: _ms(f, "crm_to_row")),
    ("latency_growth", "row → CRM at 5/s, Growth limits", "", lambda f: _ms(f, "row_to_crm")),
    ("fetch_all", "counting before a fetch-all", "", lambda f: _of(f, "counting")),
    ("fetch_all", "fetch-all of 100,000 persons", "≥ 5,000/s", lambda f: _of(f, "first")),
    ("fetch_all", "its peak memory", "≤ 150 MiB", lambda f: f"{f['memory_mib']:.0f} MiB"),
    ("fetch_all", "unchanged second pass", "≥ 10,000/s", lambda f: _of(f, "second")),
    ("tokens", "tokens per received change", "≤ 1", lambda f: f"{f['received']:.2f}"),
    ("tokens", "… in a burst of 5,000", "≤ 0.15", lambda f: f"{f['burst']:.2f} in {f['burst_seconds']:.1f} s"),
    ("tokens", "tokens per sent update, create", "≤ 6, ≤ 5", lambda f: f"{f['sent_update']:.2f}, {f['create']:.2f}"),
    ("tokens", "tokens per note update", "≤ 12", lambda f: f"{f['note_update']:.2f}"),
    ("capture", "capture: UPDATE of 10,000 rows", "≤ +15 %", lambda f: _beside(f, "bulk_{}", _more)),
    ("capture", "capture: one row", "≤ +0.1 ms", lambda f: _beside(f, "row_{}_ms", "{:+.3f} ms".format)),
    ("capture", "capture: 16 writers", "≥ 85 % of tps", lambda f: _beside(f, "writers_{}", "{:.0%}".format)),
    ("recent_sweep", "empty recent sweep, 1,000 → 200,000 links", "flat", _flat),
)


def main() -> None:
    """Runs what the arguments name, or everything."""
    wanted = sys.argv[1:] or list(BENCHES)
    console = Console()
    results: dict[str, Figures] = {}
    for name in wanted:
        console.print(f"[dim]{name} …[/dim]")
        results[name] = asyncio.run(_run(name))
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    table = Table("figure", "reach", "measured", title=machine)
    for bench, figure, reach, show in ROWS:
        if bench in results:
            table.add_row(figure, reach, show(results[bench]))
    console.print(table)
    RESULT.write_text(json.dumps({"machine": machine, "figures": results}, indent=2) + "\n", encoding="utf-8")


async def _run(name: str) -> Figures:
    return await BENCHES[name]()


if __name__ == "__main__":
    main()
