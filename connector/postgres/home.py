"""The directory of one embedded cluster: where its data, password, port, log and lock are."""

import fcntl
import socket
from pathlib import Path
from typing import IO

from connector.postgres.errors import ClusterError

USER = "postgres"
"""Not `connector`: PostgreSQL would put unqualified tables into the schema of that name, which is ours."""
DATABASE = "app"


class Home:
    """The files of one cluster under ``path``; the password and the port outlive every server."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.cluster = self.path / "cluster"
        self.draft = self.path / "cluster.draft"
        self.log = self.path / "postgres.log"
        self._password = self.path / "password"
        self._port = self.path / "port"
        self._lock: IO[str] | None = None

    @property
    def locked(self) -> bool:
        """Whether this object holds the directory."""
        return self._lock is not None

    @property
    def dsn(self) -> str:
        """Where the server listens, or did when it last ran; raises ClusterError before the first start."""
        if not self._port.exists():
            message = f"No embedded PostgreSQL was ever started in {self.path}"
            raise ClusterError(message)
        password, port = self._password.read_text("utf-8"), self._port.read_text("utf-8")
        return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{DATABASE}"

    def acquire(self) -> None:
        """Make the directory and hold it until ``release`` or the end of this process, however it ends.

        Raises ClusterError when it is held already.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (self.path / "lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            message = f"The cluster in {self.path} is in use; stop the other process or choose another data directory"
            raise ClusterError(message) from error
        self._lock = lock

    def release(self) -> None:
        """Let others hold the directory."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def keep_password(self, password: str) -> Path:
        """The file that holds the password from now on, readable by its owner only."""
        self._password.touch(mode=0o600)
        self._password.write_text(password, encoding="utf-8")
        return self._password

    def keep_port(self, port: int) -> int:
        """Remember the port."""
        self._port.write_text(str(port), encoding="utf-8")
        return port

    def choose_port(self) -> int:
        """The port of the last run while it is free, so that a DSN once printed goes on working; else any free one."""
        wanted = int(self._port.read_text("utf-8")) if self._port.exists() else 0
        return self.keep_port(_free_port(wanted) or _free_port(0))

    def log_tail(self) -> str:
        """The last words of the last server."""
        return self.log.read_text(encoding="utf-8", errors="replace").strip()[-2000:]


def _free_port(wanted: int) -> int:
    """The wanted port of 127.0.0.1, any for 0; 0 when the wanted one is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
        return int(probe.getsockname()[1])
