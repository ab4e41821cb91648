"""The report: what all runs together have played and found. Runs add up in `totals.json`, from which `REPORT.md` is made.

A run skips the seeds that were played at the same commit before, so that a long one may be stopped and gone on with. What
stands in the report from `KEPT` on is written by people and kept.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from tests.simulation.tale import Told

HERE = Path(__file__).parent
KEPT = "## Found and mended"
HEAD = """# What the simulation has played

    make simulate SEEDS=1-5000 REPORT=1     plays what is missing of these seeds, adds it here; may be stopped at any time
    make simulate PLANTED=1 REPORT=1        plants each known bug and counts the stories until one finds it

A story that breaks a law is printed with the fewest steps that still break it:
`python -m tests.simulation SEED-SEED --steps 3,7 --verbose` tells it again.
"""


@dataclass(slots=True)
class Run:
    """The stories of one commit."""

    commit: str
    at: str
    seeds: list[tuple[int, int]] = field(default_factory=list)
    """First and last of each stretch."""
    seconds: float = 0.0
    """Of one process."""
    broken: list[int] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    deeds: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)

    def played(self) -> set[int]:
        """The seeds."""
        return {seed for first, last in self.seeds for seed in range(first, last + 1)}

    def told(self) -> Mapping[str, object]:
        """As JSON has it."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def add(self, seed: int, told: Told | None, seconds: float) -> None:
        """One more story; None: it broke a law."""
        self.seeds = stretches({*self.played(), seed})
        self.seconds += seconds
        if told is None:
            self.broken = sorted({*self.broken, seed})
            return
        self.counts.update(told.counts)
        self.deeds.update(told.deeds)
        self.steps.update(told.steps)


@dataclass(slots=True)
class Totals:
    """Everything that was played, and the planted bugs that were found: bug → (stories until then, seed, what it broke)."""

    runs: list[Run] = field(default_factory=list)
    planted: dict[str, tuple[int, int, str]] = field(default_factory=dict)

    @classmethod
    def load(cls) -> Totals:
        """What was played before."""
        path = HERE / "totals.json"
        told = json.loads(path.read_text("utf-8")) if path.exists() else {"runs": [], "planted": {}}
        runs = [
            Run(**{**run, **{name: Counter(run[name]) for name in ("counts", "deeds", "steps")}})
            for run in told["runs"]
        ]
        return cls(runs, {name: (n, seed, what) for name, (n, seed, what) in told["planted"].items()})

    def now(self) -> Run:
        """The run of this commit."""
        commit = _commit()
        found = next((run for run in self.runs if run.commit == commit), None)
        if found is None:
            found = Run(commit, datetime.now(UTC).date().isoformat())
            self.runs.append(found)
        return found

    def save(self, bugs: Mapping[str, str]) -> None:
        """Writes both files. `bugs`: name → what is wrong."""
        told = json.dumps({"runs": [run.told() for run in self.runs], "planted": self.planted}, indent=1)
        (HERE / "totals.json").write_text(told + "\n", "utf-8")
        path = HERE / "REPORT.md"
        _, mark, kept = path.read_text("utf-8").partition(KEPT) if path.exists() else ("", "", "")
        path.write_text("\n".join(self._lines(bugs)) + f"\n{mark or KEPT}{kept or chr(10)}", "utf-8")

    def _lines(self, bugs: Mapping[str, str]) -> Iterator[str]:
        seeds = sum(len(run.played()) for run in self.runs)
        seconds = sum(run.seconds for run in self.runs)
        broken = sorted(seed for run in self.runs for seed in run.broken)
        yield HEAD
        yield from _table(
            "in all", {"stories": seeds, "that broke a law": f"{len(broken)} {broken}" if broken else "none"}
        )
        yield from _rows(_sum(run.counts for run in self.runs))
        yield f"| seconds for a story (one process) | {seconds / max(seeds, 1):.1f} |\n"
        yield "| commit | date | seeds | stories | broken |\n|---|---|---|---|---|"
        for run in self.runs:
            text = ", ".join(f"{first}-{last}" for first, last in run.seeds)
            yield f"| {run.commit} | {run.at} | {text} | {len(run.played())} | {run.broken or 'none'} |"
        yield ""
        yield from _table("trouble", _sum(run.steps for run in self.runs))
        yield ""
        yield from _table("deeds of people", _sum(run.deeds for run in self.runs))
        yield "\n| planted bug | stories until it was found | seed | found by |\n|---|---|---|---|"
        for name, what in bugs.items():
            n, seed, by = self.planted.get(name, ("not found", "", ""))
            yield f"| {name}: {what} | {n} | {seed} | {by} |"
        yield ""


def stretches(seeds: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of each unbroken stretch of numbers."""
    found = [
        [seed for _, seed in group] for _, group in groupby(enumerate(sorted(seeds)), lambda pair: pair[1] - pair[0])
    ]
    return [(each[0], each[-1]) for each in found]


def _sum(counters: Iterable[Counter[str]]) -> Mapping[str, int]:
    total: Counter[str] = Counter()
    for each in counters:
        total.update(each)
    return dict(total.most_common())


def _table(name: str, rows: Mapping[str, object]) -> Sequence[str]:
    return [f"| {name} | |\n|---|---|", *_rows(rows)]


def _rows(rows: Mapping[str, object]) -> Sequence[str]:
    return [f"| {name} | {n:,} |" if isinstance(n, int) else f"| {name} | {n} |" for name, n in rows.items()]


def _commit() -> str:
    """What is played: the commit, marked where files differ from it."""
    git = ["git", "-C", str(HERE)]
    try:
        name = subprocess.run(
            [*git, "rev-parse", "--short=8", "HEAD"], capture_output=True, text=True, check=True
        ).stdout
        moved = subprocess.run(
            [*git, "status", "--porcelain", "--", "../../connector", "*.py"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name.strip() + ("+" if moved else "")
