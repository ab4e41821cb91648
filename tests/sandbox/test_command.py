"""``connector sandbox`` as a process: announces itself, keeps its state, ends cleanly."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import aiohttp

from tests.sandbox.conftest import PATIENCE, Client

RUN = "import typer; from connector.cli.sandbox import sandbox; app = typer.Typer(); app.command()(sandbox); app()"


async def _start(*options: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", RUN, *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TERM": "dumb"},
    )


async def _ended(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    _, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
    return process.returncode, errors.decode()


async def test_it_announces_itself_and_ends_on_sigterm(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """First line JSON; exit 0; a second start knows what happened in the first."""
    for expected in (6, 7):
        process = await _start("--listen", "127.0.0.1:0", "--data", str(tmp_path), "--records", "6", "--json")
        assert process.stdout is not None
        line = json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE))
        client = Client(line["url"], line["api_token"], http)
        assert len(await client.walk("/api/v2/persons")) == expected
        assert (await client.post("/api/v2/persons", {"name": "Kept"})).status == 200
        process.send_signal(signal.SIGTERM)
        assert await _ended(process) == (0, "")


async def test_a_journal_of_another_version_is_one_clear_line(tmp_path: Path) -> None:
    """On stderr, exit 1, no traceback."""
    (tmp_path / "sandbox.jsonl").write_text('{"sandbox":99}\n')
    code, errors = await _ended(await _start("--listen", "127.0.0.1:0", "--data", str(tmp_path)))
    assert code == 1
    assert "another version" in errors
    assert "Traceback" not in errors


async def test_a_wrong_plan_is_a_usage_error() -> None:
    """The known ones are named."""
    code, errors = await _ended(await _start("--limits", "gold"))
    assert code == 2
    assert "ultimate" in errors
