"""``connector demo``: everything on this machine with one command, and both sides' data kept for the next time."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import asyncpg
import typer

from connector.app.daemon import Daemon, Options
from connector.app.sets import Account, LoadedSet, load_directory
from connector.cli.run import HOME, heed_sigterm, loop_factory, manual_webhooks, work
from connector.cli.talk import guarded, note
from connector.cli.wait import pauses
from connector.config.settings import load_settings
from connector.core.errors import ConnectorError
from connector.obs.logs import configure
from connector.postgres.cluster import EmbeddedCluster
from connector.service.server import Address
from connector.store import connections
from connector.store.db import Database

SANDBOX_STARTS_WITHIN = 40.0
MAPPINGS = Path(__file__).resolve().parents[2] / "mappings" / "sales-engagement"


@dataclass(frozen=True, slots=True)
class Choices:
    """The command's options."""

    listen: Address
    sandbox_listen: str
    data: Path
    mappings: Path
    records: int
    seed: int
    as_json: bool


def demo(  # noqa: PLR0917 (one parameter per option)
    listen: Annotated[str, typer.Option(help="HOST:PORT of the daemon.")] = "127.0.0.1:8080",
    sandbox_listen: Annotated[str, typer.Option(help="HOST:PORT of the Pipedrive sandbox.")] = "127.0.0.1:8090",
    data: Annotated[Path, typer.Option(help="Where both sides' data is kept.", file_okay=False)] = HOME / "demo",
    mappings: Annotated[Path, typer.Option(help="The mapping set; its tables.sql is applied once.")] = MAPPINGS,
    records: Annotated[int, typer.Option(min=0, help="Persons in the sandbox's sample data.")] = 50,
    seed: Annotated[int, typer.Option(help="Seed of the sample data.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON on stdout once all is ready.")] = False,  # noqa: FBT002
) -> None:
    """Start a PostgreSQL, a Pipedrive sandbox with sample data and the daemon between them; Ctrl-C ends all three.

    Example: connector demo --records 200
    """
    choices = Choices(
        _address(listen, "--listen"),
        str(_address(sandbox_listen, "--sandbox-listen")),
        data,
        mappings,
        records,
        seed,
        as_json,
    )
    guarded(lambda: _demo(choices))


def _address(listen: str, option: str) -> Address:
    try:
        return Address.parse(listen)
    except ValueError as error:
        raise typer.BadParameter("must be HOST:PORT", param_hint=option) from error


def _demo(choices: Choices) -> None:
    settings = load_settings()
    chosen = settings.log.value if settings.log is not None else ("json" if choices.as_json else "console")
    configure("console" if chosen == "console" else "json", "warning" if settings.log is None else settings.log_level)
    loaded = load_directory(choices.mappings)
    choices.data.mkdir(parents=True, exist_ok=True)
    key = _kept_secret(choices.data / "secret.key")
    heed_sigterm()
    with EmbeddedCluster(choices.data / "postgres") as cluster, _sandbox(choices) as account:
        _apply_tables(cluster.dsn, choices.mappings / "tables.sql", choices.data / f"{loaded.name}.tables.applied")
        options = Options(
            database_url=cluster.dsn,
            listen=choices.listen,
            admin_listen=choices.listen,
            secret_key=key,
            public_url=f"http://{choices.listen}",
        )
        work(options, [(loaded, account)], lambda daemon: _started(daemon, choices, cluster.dsn, loaded, account))


def _kept_secret(path: Path) -> str:
    """The demo's own secret key, made once and readable only by its owner."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32), encoding="ascii")
    return path.read_text(encoding="ascii").strip()


@contextmanager
def _sandbox(choices: Choices) -> Iterator[Account]:
    """The emulator as a process of its own; its URL and token."""
    command = [
        sys.executable, "-m", "connector", "sandbox", "--json", "--listen", choices.sandbox_listen,
        "--data", str(choices.data / "sandbox"), "--records", str(choices.records), "--seed", str(choices.seed),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = _first_line(process)
            yield Account(said["url"], said["api_token"])
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _first_line(process: subprocess.Popen[str]) -> dict[str, str]:
    watchdog = threading.Timer(SANDBOX_STARTS_WITHIN, process.kill)
    watchdog.start()
    try:
        line = process.stdout.readline() if process.stdout is not None else ""
    finally:
        watchdog.cancel()  # a running timer would keep the process for as long as it runs
    if not line:
        raise ConnectorError("the Pipedrive sandbox did not start", "its message stands above; is the port in use?")
    said: dict[str, str] = json.loads(line)
    return said


def _apply_tables(dsn: str, script: Path, applied: Path) -> None:
    """Runs the set's tables.sql once; the file `applied` remembers it."""
    if not script.exists() or applied.exists():
        return
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_execute(dsn, script, script.read_text(encoding="utf-8")))
    applied.touch()


async def _execute(dsn: str, script: Path, statements: str) -> None:
    db = await asyncpg.connect(dsn)
    try:
        await db.execute(statements)
    except asyncpg.PostgresError as error:
        raise ConnectorError(f"{script}: {error}", "the script must run on an empty database") from error
    finally:
        await db.close()


def _started(daemon: Daemon, choices: Choices, dsn: str, loaded: LoadedSet, account: Account) -> None:
    """Called when the connection is there: fetches all, then says so; at once where a pause keeps it from working."""
    daemon.background(_fetch_all(daemon, choices, dsn, loaded, account))


async def _fetch_all(daemon: Daemon, choices: Choices, dsn: str, loaded: LoadedSet, account: Account) -> None:
    database = await Database.connect(dsn, size=2)
    try:
        why: list[str] = []
        async with database.session() as db:
            request = await connections.ask(db, loaded.name, "fetch_all", {"confirmed": True}, daemon.clock.now())
        while not await _done(database, request) and not (why := await pauses(database, loaded.name)):
            await daemon.clock.sleep(0.05)
        for reason in why:
            note(f"{loaded.name}: {reason}")
    finally:
        await database.close()
    _say(daemon, choices, dsn, loaded, account)


async def _done(database: Database, request: int) -> bool:
    async with database.session() as db:
        return bool(
            await db.fetchval("select state in ('done', 'failed') from connector.request where id = $1", request)
        )


def _say(daemon: Daemon, choices: Choices, dsn: str, loaded: LoadedSet, account: Account) -> None:
    url = f"http://{choices.listen}"
    for line in manual_webhooks(daemon):
        note(line)
    if choices.as_json:
        facts = {
            "url": url,
            "sandbox_url": account.url,
            "sandbox_api_token": account.api_token,
            "database_url": dsn,
            "mappings": str(loaded.directory),
        }
        print(json.dumps(facts), flush=True)
        return
    print(
        f"""
Connector is running.

  daemon    {url}          (metrics {url}/metrics, readiness {url}/readyz)
  sandbox   {account.url}
  token     {account.api_token}
  mappings  {loaded.directory}
  database  psql {dsn}

Try: psql {dsn} -c "table connector.link_status limit 5"
Ctrl-C stops all; the data of both sides is kept in {choices.data}.
""",
        flush=True,
    )
