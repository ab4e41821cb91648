"""What holds for every command: help with an example, exit codes, one clear line."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import typer

from connector.cli.main import app, main
from tests.cli.conftest import MAPPINGS, Demo, connector
from tests.ports import free_port

NAMES = {
    "demo", "run", "sandbox", "migrate", "check", "fetch-all", "sync", "explain", "status", "wait", "pause", "resume",
    "schema", "failures list", "failures retry", "failures discard", "brake show", "brake release",
}  # fmt: skip


def _commands(group: Any, prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        inner = getattr(command, "commands", None)
        found |= _commands(command, f"{name} ") if inner else {prefix + name: command.help or ""}
    return found


def _groups(group: Any) -> dict[str, str]:
    return {name: command.help or "" for name, command in group.commands.items() if getattr(command, "commands", None)}


def test_every_command_has_help_with_an_example() -> None:
    """All commands of the contract are there, and each shows a line to copy; so do groups of commands."""
    root: Any = typer.main.get_command(app)
    helps = _commands(root) | _groups(root)
    assert set(helps) >= NAMES
    for name, text in helps.items():
        assert f"connector {name}" in text.partition("Example:")[2], name


async def test_help_is_no_failure() -> None:
    """Exit 0, on stdout, without a database."""
    done = await connector("fetch-all", "--help")
    assert (done.code, done.err) == (0, "")
    assert "Example: connector fetch-all" in done.out


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("nothing-like-it",),
        ("wait", "--timeout", "soon"),
        ("explain", "contact"),
        ("failures", "discard"),
        ("pause", "acme/contact", "--sends"),
        ("demo", "--listen", "8080"),
        ("demo", "--sandbox-listen", "here"),
    ],
    ids=" ".join,
)
def test_usage_errors_exit_64(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is touched; the message says how it is used."""
    monkeypatch.setattr("sys.argv", ["connector", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 64
    assert "Usage: connector" in capsys.readouterr().err


async def test_a_usage_error_of_the_process() -> None:
    """The shell sees the same."""
    done = await connector("status", "--nope")
    assert done.code == 64
    assert "--nope" in done.err


async def test_without_a_database_one_clear_line(tmp_path: Path) -> None:
    """Not set, not there, never made: exit 1 and what to do, no traceback."""
    away = "postgresql://nobody:nothing@127.0.0.1:1/none"
    unset, gone, never = await asyncio.gather(
        connector("status", "--data", str(tmp_path)),
        connector("status", DATABASE_URL=away),
        connector("wait", DATABASE_URL="not a url"),
    )
    assert [done.code for done in (unset, gone, never)] == [1, 1, 1]
    assert "never" not in gone.err
    assert "DATABASE_URL" in gone.err
    assert all("Traceback" not in done.err and done.err.startswith("connector: ") for done in (unset, gone, never))


async def test_a_database_without_a_connection_is_no_success(database: str) -> None:
    """`wait` in the wrong database must not look as if all was done; nor must what pauses or begins something."""
    assert (await connector("migrate", DATABASE_URL=database)).code == 0
    for words in (("wait",), ("pause",), ("resume",), ("fetch-all", "--yes"), ("brake", "release")):
        done = await connector(*words, DATABASE_URL=database)
        assert (done.code, "there is no connection in this database" in done.err) == (1, True), words


async def test_a_schema_of_an_older_release_is_no_riddle(database: str, tmp_path: Path) -> None:
    """Commands and `run --no-migrate` say what to do about it, and about none."""
    shutil.copytree(MAPPINGS, tmp_path / "set")
    variables = {"DATABASE_URL": database, "CONNECTOR_SECRET_KEY": "k", "CONNECTOR_LISTEN": f"127.0.0.1:{free_port()}"}
    variables |= {"PIPEDRIVE_URL": "http://127.0.0.1:1", "PIPEDRIVE_API_TOKEN": "t"}
    run = ("run", str(tmp_path / "set"), "--no-migrate")
    never = await connector(*run, **variables)
    assert (never.code, "has no schema connector" in never.err) == (1, True)
    await connector("migrate", **variables)
    db = await asyncpg.connect(database)
    await db.execute("delete from connector.migration where number = (select max(number) from connector.migration)")
    await db.close()
    for words in (("status",), run):
        done = await connector(*words, **variables)
        assert (done.code, "older than this program" in done.err) == (1, True), words


async def test_a_missing_right_says_where_the_grant_is_told(database: str) -> None:
    """A role that may only log in."""
    db = await asyncpg.connect(database)
    role = f"guest_{uuid.uuid4().hex[:8]}"
    await db.execute(f"create role {role} login password 'guest'")
    try:
        parts = urlsplit(database)
        guest = urlunsplit(parts._replace(netloc=f"{role}:guest@{parts.netloc.rpartition('@')[2]}"))
        done = await connector("migrate", DATABASE_URL=guest)
        assert (done.code, "connector check DIR prints the GRANT" in done.err) == (1, True)
    finally:
        await db.execute(f"drop role {role}")
        await db.close()


async def test_a_reader_that_leaves_is_no_error(demo: Demo) -> None:
    """`connector status | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "connector", "status", "--data", str(demo.data)), stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    _, said = await process.communicate()
    assert (process.returncode, said) == (0, b"")


async def test_debug_shows_the_traceback() -> None:
    """Only when asked for."""
    done = await connector("--debug", "status", DATABASE_URL="postgresql://nobody:nothing@127.0.0.1:1/none")
    assert done.code == 1
    assert "Traceback" in done.err


async def test_unknown_and_ambiguous_names_list_the_choices(demo: Demo) -> None:
    """Names are CONNECTION/MAPPING."""
    mapping, connection = await asyncio.gather(
        demo.command("explain", "nobody", "1"), demo.command("pause", "elsewhere/contact")
    )
    assert (mapping.code, connection.code) == (1, 1)
    assert "sales-engagement/contact" in mapping.err
    assert "known: sales-engagement" in connection.err


async def test_schema_is_json() -> None:
    """Of mapping files, or of connection.yaml."""
    mapping, connection = await asyncio.gather(connector("schema"), connector("schema", "--connection"))
    assert "fields" in mapping.json["properties"]
    assert "credentials" in connection.json["properties"]
