"""``connector run``: the daemon."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from connector.app.daemon import Daemon, Options
from connector.app.sets import Account, LoadedSet, account_of, load_directory
from connector.cli.talk import guarded
from connector.config.settings import Settings, environ, load_settings
from connector.core.errors import ConnectorError, MappingSetError
from connector.core.mapping import Problem, Webhooks
from connector.obs.logs import configure
from connector.postgres.cluster import EmbeddedCluster
from connector.service.server import Address

HOME = Path(".connector")


def run(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Mapping sets; each is one connection.")],
    migrate: Annotated[bool, typer.Option(help="Create or update schema `connector` first.")] = True,  # noqa: FBT002
) -> None:
    """Run the daemon: receive webhooks, sweep, and keep both sides in agreement until SIGTERM or Ctrl-C.

    Example: DATABASE_URL=postgresql://… PIPEDRIVE_API_TOKEN=… connector run mappings/sales-engagement
    """
    guarded(lambda: _run(directories, migrate=migrate))


def _run(directories: Sequence[Path], *, migrate: bool) -> None:
    settings = load_settings()
    configure_logs(settings)
    sets = load_all(directories)
    refuse_twins(sets)
    accounts = [(loaded, account_of(loaded, environ())) for loaded in sets]
    if settings.database_url is not None:
        options = options_of(settings, settings.database_url.get_secret_value(), migrate=migrate)
        work(options, accounts, tell_manual_webhooks)
        return
    heed_sigterm()
    with EmbeddedCluster(HOME / "postgres") as cluster:
        work(options_of(settings, cluster.dsn, migrate=migrate), accounts, tell_manual_webhooks)


def load_all(directories: Sequence[Path]) -> list[LoadedSet]:
    """The sets; MappingSetError with the problems of all of them."""
    sets: list[LoadedSet] = []
    problems: list[Problem] = []
    for directory in directories:
        try:
            sets.append(load_directory(directory))
        except MappingSetError as error:
            problems += error.problems
    if problems:
        raise MappingSetError(tuple(problems))
    return sets


def heed_sigterm() -> None:
    """Until the daemon listens for it, SIGTERM ends the command as Ctrl-C does: whatever was started is stopped."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))


def refuse_twins(sets: Sequence[LoadedSet]) -> None:
    """Two sets of one name would share one state."""
    names = [loaded.name for loaded in sets]
    for name in names:
        if names.count(name) > 1:
            raise ConnectorError(f"two mapping sets are named {name}", "give one of them another `name:`")


def configure_logs(settings: Settings) -> None:
    """Logs as the environment asks; without a word, lines for people on a terminal and JSON elsewhere."""
    chosen = settings.log.value if settings.log is not None else ("console" if sys.stderr.isatty() else "json")
    configure("console" if chosen == "console" else "json", settings.log_level.value)


def options_of(settings: Settings, database_url: str, *, migrate: bool) -> Options:
    """The daemon's options; ConnectorError where a secret is required and missing."""
    if settings.secret_key is None:
        raise ConnectorError(
            "CONNECTOR_SECRET_KEY is not set",
            "credentials are encrypted with it: set it to a long random text, for example from `openssl rand -hex 32`",
        )
    if not settings.admin_listen.loopback and settings.admin_password is None:
        raise ConnectorError(
            "CONNECTOR_ADMIN_PASSWORD is not set, but metrics would be reachable from outside",
            "set it, or keep CONNECTOR_ADMIN_LISTEN on 127.0.0.1",
        )
    old = settings.secret_key_old.get_secret_value() if settings.secret_key_old is not None else None
    return Options(
        database_url=database_url,
        listen=Address.parse(str(settings.listen)),
        admin_listen=Address.parse(str(settings.admin_listen)),
        secret_key=settings.secret_key.get_secret_value(),
        secret_key_old=old,
        public_url=settings.public_url,
        migrate=migrate,
    )


def manual_webhooks(daemon: Daemon) -> Iterator[str]:
    """What to paste into the CRM for connections whose webhooks are made by hand."""
    for name, running in daemon.running.items():
        if running.loaded.spec.connection.webhooks is Webhooks.MANUAL and running.address is not None:
            at = running.address
            yield f"webhook of {name}: URL {at.url}  user {at.user}  password {at.password}"


def tell_manual_webhooks(daemon: Daemon) -> None:
    """Prints what to paste into the CRM."""
    for line in manual_webhooks(daemon):
        print(line, flush=True)


def work(
    options: Options, sets: Sequence[tuple[LoadedSet, Account]], started: Callable[[Daemon], None] = lambda _: None
) -> None:
    """Runs a daemon to its end, on uvloop where there is one."""
    daemon = Daemon(options, sets)
    collect_seldom()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(daemon.run(lambda: started(daemon)))


def collect_seldom() -> None:
    """Pages are many small objects that die without cycles; looking for some as often as Python does takes a third."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop's loop where it is installed: database round trips take two thirds of the time."""
    try:
        import uvloop  # noqa: PLC0415 (not on every platform)
    except ImportError:
        return None
    return uvloop.new_event_loop
