"""Under which account the server runs: PostgreSQL refuses root, and root's files may be closed to everyone else."""

import os
import pwd
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connector.postgres.binaries import Binaries
from connector.postgres.errors import ClusterError

ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
"""All that a server program inherits: no ``PG*`` variable of the caller reaches it."""

PROBE = 'test -x "$1" && test -w "$1" && exec "$0" --version'


@dataclass(frozen=True, slots=True)
class Account:
    """A way to start programs without being root: ``prefix`` before the command, or an identity to drop to.

    ``owner`` is the user and group that files of the cluster must belong to.
    """

    owner: tuple[int, int]
    prefix: tuple[str, ...] = ()
    drop: bool = False

    def options(self) -> dict[str, Any]:
        """Keyword arguments for ``subprocess``."""
        identity = {"user": self.owner[0], "group": self.owner[1], "extra_groups": []} if self.drop else {}
        return {"env": ENVIRONMENT, **identity}

    def run(self, *command: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run to the end, standard input from ``text``; raises ClusterError with the program's last words."""
        done = subprocess.run(
            [*self.prefix, *command], input=text, capture_output=True, text=True, check=False, **self.options()
        )
        if done.returncode:
            message = f"{command[0]} failed: {done.stderr.strip()[-2000:]}"
            raise ClusterError(message)
        return done

    def can_use(self, binaries: Binaries, directory: Path) -> bool:
        """Whether this account can execute the server and write to the directory."""
        try:
            self.run("/bin/sh", "-c", PROBE, binaries.postgres, str(directory))
        except (ClusterError, OSError):
            return False
        return True

    def take(self, directory: Path) -> None:
        """Make the directory and all below it the account's own; touches nothing above it. Only root needs it."""
        if os.geteuid() != 0 or directory.stat().st_uid == self.owner[0]:
            return
        for parent, folders, files in os.walk(directory):
            for name in (*folders, *files):
                os.chown(os.path.join(parent, name), *self.owner, follow_symlinks=False)  # noqa: PTH118
        os.chown(directory, *self.owner)


def choose_account(binaries: Binaries, directory: Path) -> tuple[Account, Binaries]:
    """An account that can run these programs on this directory, which is made its own; copies programs if it must."""
    ways = list(_accounts())
    for account in ways:
        account.take(directory)
        if account.can_use(binaries, directory):
            return account, binaries
    return _with_copy(ways[0], binaries, directory)


def _with_copy(account: Account, binaries: Binaries, directory: Path) -> tuple[Account, Binaries]:
    account.take(directory)
    copied = binaries.copied_to(directory / "software")
    if copied is not binaries:
        account.take(directory / "software")
    if account.can_use(copied, directory):
        return account, copied
    name = pwd.getpwuid(account.owner[0]).pw_name
    message = (
        f"User {name} cannot run {binaries.postgres} or cannot reach {directory}. Choose a data directory "
        "that this user can reach, set DATABASE_URL to a running PostgreSQL, or start as another user than root."
    )
    raise ClusterError(message)


def _accounts() -> Iterator[Account]:
    if os.geteuid() != 0:
        yield Account((os.getuid(), os.getgid()))
        return
    user = _server_user()
    owner = (user.pw_uid, user.pw_gid)
    yield Account(owner, drop=True)
    yield Account((0, 0), ("unshare", "--user", "--map-user=65534", "--map-group=65534", "--"))
    yield Account(owner, _keeping_reach(owner))


def _keeping_reach(owner: tuple[int, int]) -> tuple[str, ...]:
    identity = (f"--reuid={owner[0]}", f"--regid={owner[1]}", "--clear-groups")
    return ("setpriv", *identity, "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--")


def _server_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    message = "Running as root, and there is no user postgres or nobody to run PostgreSQL as."
    raise ClusterError(message)
