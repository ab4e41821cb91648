"""A server process as its ``postmaster.pid`` describes it, whoever started it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

PID_LINE, PORT_LINE, STATUS_LINE = 0, 3, 7
SSL_REQUEST = bytes([0, 0, 0, 8, 4, 210, 22, 47])
POLL = 0.02
SHUTDOWN = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))
"""Fast shutdown first, then immediate, then none; seconds that each is given."""


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The process that serves ``cluster``; made only by ``find``, hence known to exist at that moment."""

    cluster: Path
    pid: int
    port: int
    ready: bool

    @classmethod
    def find(cls, cluster: Path) -> Self | None:
        """The live server of this cluster, or none; a reused process id or a zombie is not taken for one."""
        lines = _pid_lines(cluster)
        if len(lines) <= PORT_LINE or not _serves(int(lines[PID_LINE]), cluster):
            return None
        ready = len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready"
        return cls(cluster, int(lines[PID_LINE]), int(lines[PORT_LINE]), ready)

    def answers(self) -> bool:
        """Whether it is past start-up and speaks the protocol on its port."""
        return self.ready and speaks_postgres(self.port)

    def stop(self) -> None:
        """Return only when the process is gone: fast shutdown, harsher ones when that takes too long."""
        for number, seconds in SHUTDOWN:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            if wait_until(self._gone, seconds):
                return

    def _gone(self) -> bool:
        return not _serves(self.pid, self.cluster)


def disown_stale_pid(cluster: Path) -> None:
    """Let the next start pass over a ``postmaster.pid`` whose process id now belongs to something else.

    The server refuses to start while that id is alive, except when it is its own parent's. So ours is written in;
    the rest of the file stays, because the server finds orphaned backends by the shared memory key in it.
    """
    lines = _pid_lines(cluster)
    if lines and _exists(int(lines[PID_LINE])):
        (cluster / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:], ""]), encoding="utf-8")


def speaks_postgres(port: int) -> bool:
    """Whether a PostgreSQL server on 127.0.0.1 answers the SSL question on this port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(SSL_REQUEST)
            return connection.recv(1) in {b"S", b"N"}
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll until the condition holds; false when it still does not after so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(POLL)
    return True


def _pid_lines(cluster: Path) -> list[str]:
    try:
        lines = (cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return lines if lines and lines[PID_LINE].strip().isdigit() else []


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _serves(pid: int, cluster: Path) -> bool:
    return os.fsencode(cluster) in _command_line(pid)


def _command_line(pid: int) -> bytes:
    """The arguments of a running process; empty for a zombie or none."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return b""
    listing = ["/bin/ps", "-ww", "-p", str(pid), "-o", "command="]
    return subprocess.run(listing, capture_output=True, check=False, timeout=10).stdout
