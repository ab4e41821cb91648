"""The embedded cluster keeps its data, its address and its promises, however the processes around it end."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from connector.postgres import account
from connector.postgres.binaries import Binaries, find_binaries
from connector.postgres.cluster import EmbeddedCluster
from connector.postgres.errors import ClusterError
from connector.postgres.postmaster import Postmaster

FAST = {"fsync": "off"}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")

HOLDER = """
import pathlib, signal, sys
from connector.postgres.cluster import EmbeddedCluster
EmbeddedCluster(pathlib.Path(sys.argv[1])).start()
print("started", flush=True)
signal.pause()
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A new data directory that every account can reach."""
    with tempfile.TemporaryDirectory(prefix="connector-cluster-") as directory:
        yield Path(directory)


async def _ask(dsn: str, statement: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def _postmaster(home: Path) -> Postmaster:
    found = Postmaster.find(home / "cluster")
    assert found is not None
    return found


async def test_a_started_cluster_answers_with_the_settings_given(home: Path) -> None:
    """The DSN works over TCP and the parameters are the server's."""
    with EmbeddedCluster(home, {"work_mem": "7MB"}) as cluster:
        assert await _ask(cluster.dsn, "SHOW work_mem") == "7MB"
        assert await _ask(cluster.dsn, "SHOW server_encoding") == "UTF8"


async def test_the_password_is_asked_for_and_kept_from_others(home: Path) -> None:
    """A wrong password is refused, and only the owner may read the right one."""
    with EmbeddedCluster(home, FAST) as cluster:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(cluster.dsn, password="wrong")
        assert (home / "password").stat().st_mode & 0o777 == 0o600


async def test_a_restart_keeps_the_data_and_the_address(home: Path) -> None:
    """What was committed before stop is there after the next start, under the same DSN."""
    cluster = EmbeddedCluster(home, FAST)
    first = cluster.start()
    await _ask(first, "CREATE TABLE kept AS SELECT 42 AS answer")
    cluster.stop()
    assert Postmaster.find(home / "cluster") is None
    assert cluster.start() == first
    try:
        assert await _ask(first, "SELECT answer FROM kept") == 42
    finally:
        cluster.stop()


async def test_a_server_that_outlived_its_parent_is_adopted(home: Path) -> None:
    """After kill -9 of the process that started it, the next start finds the same server and stop ends it."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(home)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"started\n"
        orphan = _postmaster(home)
        holder.kill()
    with EmbeddedCluster(home, FAST) as cluster:
        assert _postmaster(home) == orphan
        assert await _ask(cluster.dsn, "SELECT 1") == 1
    assert Postmaster.find(home / "cluster") is None


async def test_a_killed_server_starts_again_with_what_was_committed(home: Path) -> None:
    """Kill -9 of the server itself costs a recovery, no data."""
    cluster = EmbeddedCluster(home, FAST)
    await _ask(cluster.start(), "CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(_postmaster(home).pid, signal.SIGKILL)
    cluster.stop()
    with cluster:
        assert await _ask(cluster.dsn, "SELECT answer FROM kept") == 42


async def test_a_process_id_that_is_now_another_process_does_not_matter(home: Path) -> None:
    """A stale postmaster.pid that names a living stranger neither prevents the start nor harms the stranger."""
    with EmbeddedCluster(home, FAST):
        lines = (home / "cluster" / "postmaster.pid").read_text().splitlines()
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as stranger:
        (home / "cluster" / "postmaster.pid").write_text("\n".join([str(stranger.pid), *lines[1:], ""]))
        with EmbeddedCluster(home, FAST) as cluster:
            assert await _ask(cluster.dsn, "SELECT 1") == 1
        assert stranger.poll() is None
        stranger.kill()


def test_a_cluster_in_use_is_refused(home: Path) -> None:
    """Two starts on one directory: the second fails at once, and the first goes on."""
    with EmbeddedCluster(home, FAST):
        with pytest.raises(ClusterError, match="in use"):
            EmbeddedCluster(home).start()
        assert _postmaster(home).answers()


def test_stop_of_one_that_was_refused_leaves_the_server_alone(home: Path) -> None:
    """Only the object that started the cluster stops it."""
    with EmbeddedCluster(home, FAST):
        EmbeddedCluster(home).stop()
        assert _postmaster(home).answers()


def test_data_of_another_major_version_is_named(home: Path) -> None:
    """The error says which version made the data and what to do."""
    with EmbeddedCluster(home, FAST):
        pass
    (home / "cluster" / "PG_VERSION").write_text("9\n")
    with pytest.raises(ClusterError, match=r"made by PostgreSQL 9\b.*PG_BIN_DIR"):
        EmbeddedCluster(home).start()


def test_a_setting_that_the_server_refuses_is_reported_in_its_words(home: Path) -> None:
    """A start that cannot succeed fails at once with the server's own message."""
    with pytest.raises(ClusterError, match="no_such_setting"):
        EmbeddedCluster(home, {"no_such_setting": "1"}).start()


def test_no_dsn_before_the_first_start(home: Path) -> None:
    """A directory without a cluster says so."""
    with pytest.raises(ClusterError, match="ever started"):
        _ = EmbeddedCluster(home).dsn


@as_root
def test_root_runs_the_server_as_somebody_else(home: Path) -> None:
    """No server process has the user id of root when there is a user to drop to who can read the programs."""
    somebody = next(account._accounts())
    somebody.take(home)
    if not somebody.can_use(find_binaries(), home):
        pytest.skip("only root can read the programs")
    with EmbeddedCluster(home, FAST):
        assert Path(f"/proc/{_postmaster(home).pid}").stat().st_uid != 0
        assert (home / "cluster").stat().st_uid != 0


@as_root
async def test_root_may_keep_the_data_where_others_cannot_reach(home: Path) -> None:
    """A data directory below one that only root enters works."""
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    with EmbeddedCluster(closed / "data", FAST) as cluster:
        assert await _ask(cluster.dsn, "SELECT 1") == 1
    assert closed.stat().st_uid == 0


@as_root
def test_programs_that_the_account_cannot_read_are_copied(home: Path, tmp_path: Path) -> None:
    """The copy has the libraries that stand beside the package, and its programs run."""
    binaries = _closed_copy(tmp_path / "closed")
    chosen = next(account._accounts())
    chosen.take(home)
    assert not chosen.can_use(binaries, home)
    chosen, copied = account._with_copy(chosen, binaries, home)
    assert chosen.run(copied.initdb, "--version").stdout.startswith("initdb")


def _closed_copy(directory: Path) -> Binaries:
    directory.mkdir(mode=0o700)
    found = find_binaries()
    if found.package is None:
        pytest.skip("these programs do not come from a Python package")
    return found.copied_to(directory)
