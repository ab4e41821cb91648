"""`python -m tests.mutation [--again] [MODULE...]`: runs mutmut, then compares what survived with `equivalent.yaml`.

Exits 1 when a mutant survived that is not listed, or when a listed one does not survive any more. With `--again` the
results of the run before are kept, but for functions that changed and those of which a mutant was not killed. With modules
(`merge`, `plan.pairs`, or a package) it tries the mutants of those, and compares no others. What the tests of other
directories would notice does not count: the core is proven by its own tests.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.mutation.listed import Mutant, differences, listed, shown

RESULTS: Final = Path("mutants")
BIN: Final = Path(sys.executable).parent
FOUND: Final = {
    "killed": "killed by a test",
    "timeout": "killed by a test",  # it looped
    "segfault": "killed by a test",
    "caught by type check": "caught by the types",
    "survived": "survived",
    "no tests": "survived",
}


def main() -> int:
    """Runs, compares and prints; 1 when the list and the survivors are not the same."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("--again", action="store_true", help="only what changed, and functions with survivors")
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help="of connector.core, or a package of it; without: all"
    )
    given = parser.parse_args()
    rooms = tuple(f"connector.core.{module}." for module in given.modules)
    again = given.again and RESULTS.exists()
    began = time.monotonic()
    if not again:
        shutil.rmtree(RESULTS, ignore_errors=True)
    _run(*(f"{room}*" for room in rooms))
    if again and not rooms:
        _run(*_functions(_survivors(_results())))
    results = {name: status for name, status in _results().items() if not rooms or name.startswith(rooms)}
    survivors = _diffs(_survivors(results))
    known = [mutant for mutant in listed() if not rooms or mutant.function.startswith(rooms)]
    new, stale = differences(known, survivors.values())
    _print(survivors, new, stale)
    _figures(results, len(survivors) - len(new), time.monotonic() - began)
    return 1 if new or stale else 0


def _mutmut(*arguments: str) -> list[str]:
    path = os.pathsep.join((str(BIN), os.environ["PATH"]))  # it calls mypy by name
    return ["env", f"PATH={path}", str(BIN / "mutmut"), *arguments]


def _run(*patterns: str) -> None:
    subprocess.run(_mutmut("run", "--max-children", str(os.cpu_count() or 1), *patterns), check=True)


def _results() -> dict[str, str]:
    """Mutant → what became of it."""
    told = subprocess.run(_mutmut("results", "--all", "true"), check=True, capture_output=True, text=True).stdout
    pairs = (line.strip().rsplit(": ", 1) for line in told.splitlines() if line.strip())
    return {name: FOUND.get(status, status) for name, status in pairs}


def _survivors(results: Mapping[str, str]) -> list[str]:
    return [name for name, status in results.items() if status == "survived"]


def _functions(names: Iterable[str]) -> set[str]:
    """Patterns for all mutants of the functions that these mutants are of."""
    return {f"{name.rpartition('_')[0]}_*" for name in names}


def _diffs(names: Sequence[str]) -> dict[str, Mutant]:
    def show(name: str) -> Mutant:
        told = subprocess.run(_mutmut("show", name), check=True, capture_output=True, text=True).stdout
        return shown(name, told)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(names, pool.map(show, names), strict=True))


def _print(survivors: Mapping[str, Mutant], new: Sequence[Mutant], stale: Sequence[Mutant]) -> None:
    names = {mutant: name for name, mutant in survivors.items()}
    for mutant in new:
        print(f"\nNo test notices {names[mutant]}:\n{mutant}")
    for mutant in stale:
        print(f"\nListed in equivalent.yaml, but killed or gone:\n{mutant}")


def _figures(results: Mapping[str, str], equivalent: int, seconds: float) -> None:
    counts = Counter(results.values())
    counts["survived"] -= equivalent
    print(f"\n{len(results)} mutants in {seconds:.0f} s: ", end="")
    print(", ".join(f"{count} {status}" for status, count in counts.most_common()) + f", {equivalent} equivalent")


if __name__ == "__main__":
    sys.exit(main())
