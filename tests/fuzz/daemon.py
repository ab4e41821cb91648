"""`connector run` that tells on SIGUSR1, in a line on stdout, how many tasks there are: python -m tests.fuzz.daemon DIR."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from connector.app.daemon import Daemon
from connector.app.sets import account_of, load_directory
from connector.cli.run import configure_logs, loop_factory, options_of
from connector.config.settings import environ, load_settings


async def _run(daemon: Daemon) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _tell)
    await daemon.run(_tell)


def _tell() -> None:
    print(len(asyncio.all_tasks()), flush=True)


def main(directory: str) -> None:
    """Works until SIGTERM; the first line says that it is ready."""
    settings = load_settings()
    configure_logs(settings)
    loaded = load_directory(Path(directory))
    assert settings.database_url is not None
    options = options_of(settings, settings.database_url.get_secret_value(), migrate=True)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_run(Daemon(options, [(loaded, account_of(loaded, environ()))])))


if __name__ == "__main__":
    main(*sys.argv[1:])
