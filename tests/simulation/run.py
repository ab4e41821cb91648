"""`python -m tests.simulation SEEDS`: plays stories, prints what breaks a law, with the shortest story that does.

SEEDS is a number (that many, from 1 on), a seed range ``900001-900020`` or one seed ``17-17``; with ``--hours`` as many
new ones as fit. With ``--planted`` known bugs are planted one after the other, and stories are played from seed 1 on until
each is found; with ``--known`` only the one that is known to find it. ``--report`` adds to `REPORT.md`. The order in
which sets and dictionaries of text are walked is part of a story, so the command runs itself again with a fixed
PYTHONHASHSEED.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import structlog

from connector.obs.logs import configure
from tests.simulation.planted import BUGS, Bug
from tests.simulation.report import Run, Totals
from tests.simulation.steps import script
from tests.simulation.tale import Told
from tests.simulation.theatre import Theatre, theatre

HASHES = "0"
BREAKS = ("BrokenLawError", "StuckError")
"""How a planted bug may be found: any other end is the planting's own fault."""

WRONGS = {name: bug.what for name, bug in BUGS.items()}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a story ended: what was told, or what broke and the whole trace."""

    seed: int
    told: Told | None
    complaint: str = ""
    trace: str = ""
    seconds: float = 0.0


def main() -> int:
    """Plays the seeds; 1 when a law was broken."""
    if os.environ.get("PYTHONHASHSEED") != HASHES:
        os.environ["PYTHONHASHSEED"] = HASHES
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    given = _arguments()
    if given.planted is not None:
        return _catch(given)
    return _tell(given)


def _tell(given: argparse.Namespace) -> int:
    totals = Totals.load() if given.report else Totals()
    run = totals.now()
    given.seeds = [seed for seed in given.seeds if seed not in run.played()] if given.report else given.seeds
    now, began = Run("", ""), time.monotonic()
    for verdict in _verdicts(given):
        for each in (run, now):
            each.add(verdict.seed, verdict.told, verdict.seconds)
        _say(verdict, given)
        if given.report:
            totals.save(WRONGS)
    if not given.digest:
        told = ", ".join(f"{n} {name}" for name, n in sorted(now.counts.items()))
        played = f"{len(now.played())} seeds in {time.monotonic() - began:.0f} s"
        print(f"{played}: {told}; broken: {now.broken or 'none'}")
    return 1 if now.broken else 0


def _say(verdict: Verdict, given: argparse.Namespace) -> None:
    if verdict.told is None:
        print(f"\nseed {verdict.seed}: {verdict.complaint}\n{verdict.trace}", flush=True)
    elif given.digest:
        print(f"seed {verdict.seed}: digest {verdict.told.digest}", flush=True)
    elif given.verbose:
        print(f"seed {verdict.seed}: ok", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("seeds", type=_range, nargs="?", help="N, or FIRST-LAST")
    what.add_argument("--hours", type=float, help="new seeds for so long")
    what.add_argument("--planted", nargs="*", metavar="BUG", help="plant these bugs, or all")
    parser.add_argument(
        "--known", action="store_true", help="plant only bugs of which a story is known that finds them"
    )
    parser.add_argument("--most", type=int, default=60, help="so many stories at most for a planted bug")
    parser.add_argument("--steps", type=_numbers, help="play only these steps of the one seed: 1,2,5")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--shrink", action="store_true", help="look for the shortest story that still breaks")
    parser.add_argument("--log", action="store_true", help="print the daemon's log")
    parser.add_argument("--digest", action="store_true", help="print what two tellings of a story must have in common")
    parser.add_argument(
        "--report", action="store_true", help="add what was played to the totals, and skip what was before"
    )
    parser.add_argument("--verbose", action="store_true")
    given = parser.parse_args()
    given.until = time.time() + 3600 * given.hours if given.hours else None
    given.seeds = given.seeds or range(int(time.time()), sys.maxsize)
    return given


def _catch(given: argparse.Namespace) -> int:
    """Plants bugs and tells how many stories it took to find each; 1 when one is not found."""
    missed = []
    totals = Totals.load()
    _silence(log=given.log)
    with theatre() as place:
        for name in given.planted or [name for name, bug in BUGS.items() if bug.seed is not None or not given.known]:
            bug, began = BUGS[name], time.monotonic()
            with bug.planted():
                stories, found = _caught(place, bug, given)
            if found is None:
                missed.append(name)
                continue
            text = " ".join(found.complaint.split())[:160]
            took = f"{stories} stories ({time.monotonic() - began:.0f} s)"
            print(f"{name}: {bug.what}\n  {took}: seed {found.seed}: {text}", flush=True)
            if given.report:
                totals.planted[name] = (stories, found.seed, text.partition(":")[2].replace("|", "/")[:100])
                totals.save(WRONGS)
    print(f"missed: {missed or 'none'}")
    return 1 if missed else 0


def _caught(place: Theatre, bug: Bug, given: argparse.Namespace) -> tuple[int, Verdict | None]:
    """How many stories it took, and the one that finds the bug."""
    known = [] if bug.seed is None else [bug.seed]
    seeds = known if given.known else range(1, given.most + 1)
    for stories, seed in enumerate(seeds, 1):
        verdict = _play(place, seed, None)
        if verdict.told is None:
            assert verdict.complaint.startswith(BREAKS), verdict
            return stories, _shrunk(place, verdict, None) if given.shrink else verdict
    return len(seeds), None


def _range(text: str) -> range:
    first, dash, last = text.partition("-")
    return range(int(first), int(last) + 1) if dash else range(1, int(first) + 1)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def _verdicts(given: argparse.Namespace) -> Iterator[Verdict]:
    if given.jobs <= 1 or len(given.seeds) == 1:
        yield from _played(given.seeds, given)
        return
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[Verdict | None] = context.Queue()
    shares = [given.seeds[n :: given.jobs] for n in range(given.jobs)]
    workers = [context.Process(target=_work, args=(share, given, queue)) for share in shares]
    for worker in workers:
        worker.start()
    running = len(workers)
    while running:
        verdict = queue.get()
        if verdict is None:
            running -= 1
        else:
            yield verdict
    for worker in workers:
        worker.join()


def _work(seeds: Sequence[int], given: argparse.Namespace, queue: multiprocessing.Queue[Verdict | None]) -> None:
    try:
        for verdict in _played(seeds, given):
            queue.put(verdict)
    finally:
        queue.put(None)


def _played(seeds: Sequence[int], given: argparse.Namespace) -> Iterator[Verdict]:
    _silence(log=given.log)
    with theatre() as place:
        for seed in seeds:
            if given.until is not None and time.time() > given.until:
                return
            verdict = _play(place, seed, given.steps)
            if verdict.told is None and given.shrink:
                verdict = _shrunk(place, verdict, given.steps)
            yield verdict


def _play(place: Theatre, seed: int, steps: Sequence[int] | None) -> Verdict:
    began = time.monotonic()
    try:
        told = place.play(seed, steps)
        return Verdict(seed, told, seconds=time.monotonic() - began)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # whatever ends a story badly is what is looked for
        notes = "\n".join(getattr(error, "__notes__", ()))
        where = "" if isinstance(error, AssertionError) else "".join(traceback.format_exception(error))
        return Verdict(seed, None, f"{type(error).__name__}: {error}", f"{notes}\n{where}")


def _shrunk(place: Theatre, verdict: Verdict, steps: list[int] | None) -> Verdict:
    """Leaves out steps as long as the story still breaks, larger portions first."""
    steps = steps or list(range(script(verdict.seed).length))
    size = (len(steps) + 1) // 2
    while size:
        at = 0
        while at < len(steps):
            fewer = steps[:at] + steps[at + size :]
            shorter = _play(place, verdict.seed, fewer)
            if shorter.told is None:
                verdict, steps = shorter, fewer
            else:
                at += size
        size //= 2
    text = ",".join(map(str, steps))
    return Verdict(verdict.seed, None, f"{verdict.complaint}\nshortest: --steps {text}", verdict.trace)


def _silence(*, log: bool) -> None:
    """Thousands of lines about deaths would hide the one that matters."""
    if log:
        configure("json", "debug")
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
