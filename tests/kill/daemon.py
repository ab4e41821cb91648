"""`connector run` with time that runs faster: python -m tests.kill.daemon SPEED WALL BEGAN DIR..., and `run`'s variables."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from pathlib import Path

from connector.app.daemon import Daemon
from connector.app.sets import account_of, load_directory
from connector.cli.run import configure_logs, loop_factory, options_of
from connector.config.settings import environ, load_settings
from tests.engine.rig import FastClock


def main(speed: str, wall: str, began: str, *directories: str) -> None:
    """Works until it is killed."""
    settings = load_settings()
    configure_logs(settings)
    sets = [load_directory(Path(directory)) for directory in directories]
    assert settings.database_url is not None
    options = options_of(settings, settings.database_url.get_secret_value(), migrate=True)
    clock = FastClock(float(speed), datetime.fromisoformat(wall), float(began))
    daemon = Daemon(options, [(loaded, account_of(loaded, environ())) for loaded in sets], clock)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(daemon.run())


if __name__ == "__main__":
    main(*sys.argv[1:])
