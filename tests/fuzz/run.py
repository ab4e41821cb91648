"""Fires, judges, measures and tells."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from connector.postgres.cluster import EmbeddedCluster
from tests.fuzz.client import fire, shrunk
from tests.fuzz.process import Measure, Target, target
from tests.fuzz.requests import Shot, shot

SENDERS = 24
WARM = 0.1
"""The share of the requests after which growth is measured: caches are full by then."""
RSS_GROWTH, SLACK_KIB, SLACK = 0.1, 20_480, 8
"""How much of a difference is no growth: of memory, of tasks and descriptors."""


@dataclass(slots=True)
class Findings:
    """What came of a run. `wrong` is empty when nothing is to be said against the daemon."""

    statuses: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0
    before: Measure | None = None
    after: Measure | None = None
    stored: tuple[int, int] = (0, 0)
    parked: dict[str, int] = field(default_factory=dict)

    def note(self, made: Shot, statuses: tuple[int, ...]) -> None:
        """Counts one request."""
        who = "strangers" if made.stranger else "friends"
        self.kinds[who] += 1
        for status in statuses or (0,):
            self.statuses[f"{who} {status or 'none'}"] += 1


async def fuzz(aim: Target, seed: int, requests: int) -> Findings:
    """Fires that many requests, waits until the engine has digested them, and judges what is left."""
    found, numbers = Findings(), iter(range(requests))
    began = time.monotonic()
    await _volley(aim, seed, itertools.islice(numbers, int(requests * WARM)), found)
    if not found.wrong:
        await aim.quiet()
        found.before = await aim.measure()
        await _volley(aim, seed, numbers, found)
    found.seconds = time.monotonic() - began
    if not found.wrong:
        await _aftermath(aim, found)
    return found


async def _volley(aim: Target, seed: int, numbers: Iterator[int], found: Findings) -> None:
    async def sender() -> None:
        for number in numbers:
            if found.wrong:
                return
            await _one(aim, seed, number, found)

    await asyncio.gather(*(sender() for _ in range(SENDERS)))


async def _one(aim: Target, seed: int, number: int, found: Findings) -> None:
    made = shot(seed, number, aim.door)
    wrong = await _wrong(aim, made, found)
    if wrong is None or found.wrong:
        return
    found.wrong.append(f"request {number} of seed {seed} ({made.kind}): {wrong}")
    smallest = await shrunk(made, lambda smaller: _fails(aim, smaller)) if aim.alive else made
    found.wrong += [f"  {part[:300]!r}{f' … {len(part)} bytes' if len(part) > 300 else ''}" for part in smallest.parts]
    found.wrong.append(f"again: python -m tests.fuzz --seed {seed} --only {number}")


async def _wrong(aim: Target, made: Shot, found: Findings) -> str | None:
    try:
        heard = await fire(aim.door, made)
    except ConnectionRefusedError:
        return "the daemon does not listen any more"
    found.note(made, tuple(heard.statuses))
    return heard.wrong(made) if aim.alive else "the daemon ended"


async def _fails(aim: Target, made: Shot) -> bool:
    return aim.alive and (await fire(aim.door, made)).wrong(made) is not None


async def _aftermath(aim: Target, found: Findings) -> None:
    if not await aim.quiet():
        found.wrong.append("the daemon ended while it folded what was stored")
        return
    found.after, found.stored, found.parked = await aim.measure(), await aim.stored(), dict(await aim.causes())
    assert found.before is not None
    found.wrong += _grown(found.before, found.after)
    if found.stored[0] or found.after.tables["strangers"]:
        found.wrong.append(f"{found.stored[0]} events of strangers were stored")
    found.wrong += [
        f"{count} records parked for {cause}" for cause, count in found.parked.items() if cause != "missing"
    ]


def _grown(before: Measure, after: Measure) -> Iterator[str]:
    if after.rss_kib > before.rss_kib * (1 + RSS_GROWTH) + SLACK_KIB:
        yield f"memory grew from {before.rss_kib} to {after.rss_kib} KiB"
    if after.tasks > before.tasks + SLACK:
        yield f"tasks grew from {before.tasks} to {after.tasks}"
    if after.descriptors > before.descriptors + SLACK:
        yield f"descriptors grew from {before.descriptors} to {after.descriptors}"
    if after.tables["events"]:
        yield f"{after.tables['events']} events are left"


def report(found: Findings) -> str:
    """The figures, side by side."""
    total = sum(found.kinds.values())
    lines = [
        f"{total} requests in {found.seconds:.0f} s ({total / max(found.seconds, 0.001):.0f}/s): {_counts(found.kinds)}",
        f"answers: {_counts(found.statuses)}",
        f"events stored: {found.stored[0]} of strangers, {found.stored[1]} of friends; parked: {found.parked or 'none'}",
    ]
    if found.before is not None and found.after is not None:
        for name, one, other in _pairs(found.before, found.after):
            lines.append(f"{name:>12}: {one:>9} after a tenth, {other:>9} at the end")
    return "\n".join([*lines, *found.wrong, "FAILED" if found.wrong else "nothing wrong"])


def _pairs(before: Measure, after: Measure) -> Iterator[tuple[str, int, int]]:
    yield "RSS in KiB", before.rss_kib, after.rss_kib
    yield "descriptors", before.descriptors, after.descriptors
    yield "tasks", before.tasks, after.tasks
    for name, count in before.tables.items():
        yield name, count, after.tables[name]


def _counts(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counted.items()))


def main() -> int:
    """0 when nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("requests", type=int, nargs="?", default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="the number of one request, to send again")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="connector-fuzz-")))
        dsn = os.environ.get("TEST_DATABASE_URL") or stack.enter_context(EmbeddedCluster(home / "postgres")).dsn
        found = asyncio.run(_run(dsn, home, chosen.seed, chosen.requests, chosen.only))
    print(report(found), flush=True)
    return 1 if found.wrong else 0


async def _run(dsn: str, home: Path, seed: int, requests: int, only: int | None) -> Findings:
    async with target(dsn, home, home / "log") as aim:
        if only is None:
            return await fuzz(aim, seed, requests)
        found = Findings()
        await _one(aim, seed, only, found)
        return found


if __name__ == "__main__":
    sys.exit(main())
