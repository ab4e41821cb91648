"""A real PostgreSQL for every test that asks for one, and a watch on leaked tasks.

The server is the first to be had of: ``TEST_DATABASE_URL``, a container, the embedded cluster.
"""

import asyncio
import contextlib
import gc
import os
import tempfile
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import docker
import pytest
import pytest_asyncio
from docker.errors import DockerException
from hypothesis import HealthCheck, Phase, settings
from testcontainers.community.postgres import PostgresContainer

from connector.obs.logs import configure
from connector.postgres.cluster import EmbeddedCluster

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "mutation",
    parent=settings.get_profile("any machine"),
    derandomize=True,
    max_examples=25,
    phases=[Phase.explicit, Phase.generate],  # nobody looks at what kills a mutant: it need not be the smallest
)
settings.load_profile("any machine")  # a busy machine is no defect
IMAGE = "postgres:17-alpine"
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
CLEAN = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid();
DO $$
DECLARE name text;
BEGIN
  FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
    EXECUTE format('DROP SCHEMA %I CASCADE', name);
  END LOOP;
  EXECUTE format('ALTER DATABASE %I RESET ALL', current_database());
END $$;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC;
"""


@pytest.fixture(autouse=True)
def production_logs() -> None:
    """Log as in production, whatever the test before chose: the library's own tracebacks draw every variable, for seconds."""
    configure("json", "error")


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """DSN of a server on which the tests may create databases."""
    with contextlib.ExitStack() as stack:
        given = os.environ.get("TEST_DATABASE_URL")
        yield given or _container(stack) or _embedded(stack)


@pytest.fixture(scope="session")
def spare_databases(postgres_dsn: str) -> Iterator[list[str]]:
    """Empty databases waiting for a test: cleaning one takes a tenth of the time of making one."""
    spare: list[str] = []
    yield spare
    with asyncio.Runner() as runner:
        for dsn in spare:
            runner.run(_execute(postgres_dsn, f"DROP DATABASE {_name(dsn)} WITH (FORCE)"))


@pytest.fixture
async def database(postgres_dsn: str, spare_databases: list[str]) -> AsyncIterator[str]:
    """DSN of an empty database that only this test uses; whoever is still connected afterwards is thrown out."""
    dsn = spare_databases.pop() if spare_databases else await _create(postgres_dsn)
    yield dsn
    await _execute(dsn, CLEAN)
    spare_databases.append(dsn)


@pytest.fixture
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Fail a test that leaves asyncio tasks behind; every coroutine test has it, and it ends after all others."""
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)
    leaked = asyncio.all_tasks() - before - {asyncio.current_task()}
    for task in leaked:
        task.cancel()
    await asyncio.gather(*leaked, return_exceptions=True)
    if leaked:
        pytest.fail(f"leaked tasks: {sorted(task.get_name() + ' ' + repr(task.get_coro()) for task in leaked)}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the watch on leaked tasks first, so that it is torn down last."""
    for item in items:
        if isinstance(item, pytest.Function) and pytest_asyncio.is_async_test(item):
            item.fixturenames.insert(0, "no_leaked_tasks")


async def _create(server: str) -> str:
    dsn = urlunsplit(urlsplit(server)._replace(path=f"/test_{uuid.uuid4().hex}"))
    await _execute(server, f"CREATE DATABASE {_name(dsn)} TEMPLATE template0")
    return dsn


def _name(dsn: str) -> str:
    return urlsplit(dsn).path.removeprefix("/")


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _container(stack: contextlib.ExitStack) -> str | None:
    if not _engine_answers():
        return None
    command = " ".join(["postgres", *(f"-c {name}={value}" for name, value in FAST.items())])
    try:
        container = stack.enter_context(PostgresContainer(IMAGE, driver=None).with_command(command))
    except Exception as error:  # noqa: BLE001  # whatever an engine fails with, the embedded cluster remains
        print(f"\nNo container with {IMAGE} ({type(error).__name__}: {error}); tests use the embedded PostgreSQL")
        return None
    return str(container.get_connection_url())


def _engine_answers() -> bool:
    """Ask without a trace: a client that fails to connect leaves a socket to the garbage collector."""
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        answers = _ping()
        gc.collect()
    return answers


def _ping() -> bool:
    try:
        with contextlib.closing(docker.from_env(timeout=2)) as client:
            return bool(client.ping())
    except DockerException:
        return False


def _embedded(stack: contextlib.ExitStack) -> str:
    directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="connector-tests-"))
    return stack.enter_context(EmbeddedCluster(Path(directory), FAST)).dsn
