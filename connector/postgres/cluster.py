"""A PostgreSQL server of our own: made on first use, its data kept, stopped with us, found again after a crash."""

import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from connector.postgres.account import Account, choose_account
from connector.postgres.binaries import Binaries, find_binaries
from connector.postgres.errors import ClusterError
from connector.postgres.home import DATABASE, USER, Home
from connector.postgres.postmaster import Postmaster, disown_stale_pid, wait_until

START_SECONDS = 60.0
RETRY_SECONDS = 15.0
PASSING = ("pre-existing shared memory block", "could not create any TCP/IP sockets")
"""What a server says when another moment, or another port, may suit it better."""


class EmbeddedCluster:
    """One cluster in ``data_dir``, used by one process at a time, reached by password on a port of 127.0.0.1 only.

    ``settings`` are server parameters for servers that this object starts; one found running keeps its own.
    The directory is made, and made the server account's own, on start; nothing outside it is changed.
    """

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self._home = Home(data_dir)
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def dsn(self) -> str:
        """Where the server listens, or did when it last ran; raises ClusterError before the first start."""
        return self._home.dsn

    def start(self) -> str:
        """Return the DSN of a server that answers: one found running, or a new one on the data as it was left.

        Raises ClusterError when the cluster is in use already, or when it cannot be had at all.
        """
        self._home.acquire()
        try:
            if not self._adopt():
                self._launch()
        except BaseException:
            self.stop()
            raise
        return self.dsn

    def stop(self) -> None:
        """Return only when no server runs on this data; does nothing unless this object has started it."""
        if not self._home.locked:
            return
        if running := self._running():
            running.stop()
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
            self._process = None
        self._home.release()

    def _running(self) -> Postmaster | None:
        return Postmaster.find(self._home.cluster)

    def _adopt(self) -> bool:
        """Take over a server that answers; stop one that does not."""
        wait_until(self._settled, RETRY_SECONDS)
        running = self._running()
        if running is None:
            return False
        if not running.answers():
            running.stop()
            return False
        self._home.keep_port(running.port)
        return True

    def _settled(self) -> bool:
        running = self._running()
        return running is None or running.answers()

    def _launch(self) -> None:
        account, binaries = choose_account(find_binaries(), self._home.path)
        if not self._home.cluster.exists():
            _create(self._home, account, binaries)
        _check_version(self._home.cluster, binaries)
        disown_stale_pid(self._home.cluster)
        end = time.monotonic() + RETRY_SECONDS
        while not self._attempt(account, binaries):
            said = self._home.log_tail()
            if time.monotonic() > end or not any(words in said for words in PASSING):
                message = f"PostgreSQL did not start on {self._home.cluster}: {said}"
                raise ClusterError(message)
            time.sleep(0.2)

    def _attempt(self, account: Account, binaries: Binaries) -> bool:
        with self._home.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*account.prefix, *self._command(binaries)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._home.path,
                start_new_session=True,
                **account.options(),
            )
        return self._came_up(self._process)

    def _came_up(self, process: subprocess.Popen[bytes]) -> bool:
        def decided() -> bool:
            running = self._running()
            return process.poll() is not None or (running is not None and running.answers())

        return wait_until(decided, START_SECONDS) and process.poll() is None

    def _command(self, binaries: Binaries) -> list[str]:
        port = str(self._home.choose_port())
        settings = self._settings | {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": port}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [binaries.postgres, "-D", str(self._home.cluster), *options]


def _create(home: Home, account: Account, binaries: Binaries) -> None:
    """Make the cluster under another name and rename it when complete: a half-made one is never used."""
    shutil.rmtree(home.draft, ignore_errors=True)
    password = home.keep_password(secrets.token_urlsafe(24))
    account.take(password)
    account.run(
        *(binaries.initdb, "-D", str(home.draft), "-U", USER, f"--pwfile={password}"),
        *("-A", "scram-sha-256", "--locale=C", "-E", "UTF8", "--no-sync"),
    )
    statement = f"CREATE DATABASE {DATABASE}\n"
    account.run(binaries.postgres, "--single", "-D", str(home.draft), "postgres", text=statement)
    home.draft.rename(home.cluster)


def _check_version(cluster: Path, binaries: Binaries) -> None:
    made_by = (cluster / "PG_VERSION").read_text(encoding="utf-8").strip()
    if made_by != str(binaries.major):
        message = (
            f"{cluster} was made by PostgreSQL {made_by}, but {binaries.postgres} is {binaries.major}. "
            f"Set PG_BIN_DIR to the programs of PostgreSQL {made_by}, or choose another data directory."
        )
        raise ClusterError(message)
