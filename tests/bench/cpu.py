"""Processor time of the three processes of a stage: on a busy machine it tells more than the clock. Linux only."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PARENT, FIRST, LAST = 1, 11, 15
"""Places in /proc/PID/stat behind the name: the parent; user and system time, own and of children that ended."""


def seconds(root: int) -> float:
    """User and system time of a process and all its descendants so far."""
    children: dict[int, list[int]] = defaultdict(list)
    spent: dict[int, float] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        fields = _fields(path)
        if fields:
            children[int(fields[PARENT])].append(int(path.parent.name))
            spent[int(path.parent.name)] = sum(map(int, fields[FIRST:LAST])) / TICK
    return _with_descendants(root, children, spent)


def parent(process: int) -> int:
    """Who started a process."""
    return int(_fields(Path(f"/proc/{process}/stat"))[PARENT])


def _with_descendants(process: int, children: dict[int, list[int]], spent: dict[int, float]) -> float:
    return spent.get(process, 0.0) + sum(_with_descendants(child, children, spent) for child in children[process])


def _fields(path: Path) -> list[str]:
    """Nothing for a process that is gone."""
    try:
        return path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
