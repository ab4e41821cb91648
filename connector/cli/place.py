"""Where a command works: DATABASE_URL, or the directory of a demo."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from connector.app.commands import Desk, opened
from connector.cli.run import HOME, configure_logs, loop_factory
from connector.cli.talk import guarded
from connector.config.settings import Settings, environ, load_settings
from connector.core.errors import ConnectorError
from connector.obs.logs import configure
from connector.postgres.cluster import EmbeddedCluster

T = TypeVar("T")
Data = Annotated[
    Path | None, typer.Option("--data", help="Directory of a demo, instead of DATABASE_URL.", file_okay=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="The answer as JSON on stdout.")]
Crm = Annotated[str | None, typer.Option("--crm", metavar="ID", help="The CRM's id, instead of the row's key.")]


@dataclass(frozen=True, slots=True)
class Place:
    """A database, and the key to the secrets in it where that is known."""

    database_url: str
    secret_key: str | None
    secret_key_old: str | None = None


def place_of(data: Path | None) -> Place:
    """The place that the options and the environment name; ConnectorError when they name none."""
    settings = load_settings()
    if data is not None:
        return _embedded(data / "postgres", _text(data / "secret.key") or _secret(settings))
    if settings.database_url is not None:
        old = settings.secret_key_old.get_secret_value() if settings.secret_key_old is not None else None
        return Place(settings.database_url.get_secret_value(), _secret(settings), old)
    if (HOME / "postgres").exists():
        return _embedded(HOME / "postgres", _secret(settings))
    raise ConnectorError("DATABASE_URL is not set", f"set it, or name the directory of a demo: --data {HOME / 'demo'}")


def _embedded(directory: Path, key: str | None) -> Place:
    """A cluster that its daemon or demo has started."""
    return Place(EmbeddedCluster(directory).dsn, key)


def _secret(settings: Settings) -> str | None:
    return settings.secret_key.get_secret_value() if settings.secret_key is not None else None


def _text(path: Path) -> str | None:
    return path.read_text(encoding="ascii").strip() if path.exists() else None


def at_desk(data: Path | None, action: Callable[[Desk], Awaitable[int | None]]) -> None:
    """Runs a command's action on the database; what goes wrong is one clear line."""
    guarded(lambda: run(_visit(place_of(data), action)))


async def _visit(place: Place, action: Callable[[Desk], Awaitable[T]]) -> T:
    async with opened(place.database_url, place.secret_key, place.secret_key_old) as desk:
        return await action(desk)


def run(job: Awaitable[T]) -> T:
    """Runs a coroutine with logs that keep quiet unless the environment asks for them."""
    if "CONNECTOR_LOG_LEVEL" in environ():
        configure_logs(load_settings())
    else:
        configure("console", "error")
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_awaited(job))


async def _awaited(job: Awaitable[T]) -> T:
    return await job
