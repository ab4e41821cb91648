"""What processes have had of the cores, from Linux' /proc: the figure that a busy machine falsifies least."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def had(pid: int) -> float:
    """Seconds of a core that a process has had."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def had_by_children(pid: int) -> float:
    """Seconds of a core that the living children of a process have had."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return sum(had(int(child)) for child in children)


def had_by_ended(pid: int) -> float:
    """Seconds of a core that the ended children of a process had."""
    user, system = _stat(pid)[13:15]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def parent(pid: int) -> int:
    """The process that started it."""
    return int(_stat(pid)[1])


def _stat(pid: int) -> Sequence[str]:
    """The fields of /proc/PID/stat from the state on."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
