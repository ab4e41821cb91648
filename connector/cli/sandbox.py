"""``connector sandbox``: the local Pipedrive emulator as a process of its own."""

import asyncio
import contextlib
import gc
import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from connector.sandbox.journal import JournalError
from connector.sandbox.limits import PLANS
from connector.sandbox.server import Sandbox, Settings, running

PLAN_NAMES = ("off", *PLANS)


def sandbox(  # noqa: PLR0917 - one parameter per option
    listen: Annotated[str, typer.Option(help="HOST:PORT to serve on; port 0 takes a free one.")] = "127.0.0.1:8090",
    data: Annotated[
        Path | None, typer.Option(help="Directory that keeps the state; without it nothing is kept.", file_okay=False)
    ] = None,
    records: Annotated[int, typer.Option(min=0, help="Persons of the sample data, with what belongs to them.")] = 50,
    seed: Annotated[int, typer.Option(help="Seed of the sample data, the keys of custom fields and the tokens.")] = 1,
    limits: Annotated[str, typer.Option(help=f"Rate limits of a plan: {', '.join(PLAN_NAMES)}.")] = "ultimate",
    as_json: Annotated[bool, typer.Option("--json", help="First line on stdout: {url, api_token}.")] = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Serve a faithful Pipedrive emulator on this machine; SIGTERM or Ctrl-C ends it.

    Sample data is made once: a second start with the same --data keeps what is there.

    Example: connector sandbox --listen 127.0.0.1:8090 --data .connector/sandbox --records 200
    """
    settings = _settings(listen, data, records, seed, limits)
    try:
        _run(settings, as_json=as_json)
    except (JournalError, OSError) as error:
        print(f"connector sandbox: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


def _settings(listen: str, data: Path | None, records: int, seed: int, limits: str) -> Settings:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise typer.BadParameter("must be HOST:PORT", param_hint="--listen")
    if limits not in PLAN_NAMES:
        raise typer.BadParameter(f"must be one of {', '.join(PLAN_NAMES)}", param_hint="--limits")
    return Settings(host.strip("[]"), int(port), data, records, seed, limits)


def _run(settings: Settings, *, as_json: bool) -> None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        asyncio.run(_serve(settings, as_json=as_json))
    else:
        uvloop.run(_serve(settings, as_json=as_json))


async def _serve(settings: Settings, *, as_json: bool) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, ended.set)
    async with running(settings) as served:
        gc.freeze()  # the sample data stays: no pauses for walking through it
        _announce(served, as_json=as_json)
        await ended.wait()


def _announce(served: Sandbox, *, as_json: bool) -> None:
    if as_json:
        line = json.dumps({"url": served.url, "api_token": served.token})
    else:
        line = (
            f"Pipedrive sandbox at {served.url}, x-api-token: {served.token}\nall tokens: {served.url}/sandbox/tokens"
        )
    print(line, flush=True)
