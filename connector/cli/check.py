"""``connector check``: are the files right, and could the set run here?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from connector.app.commands import cipher_of, connected, stored_account
from connector.app.doctor import Diagnosis, Doctor, Finding, Level
from connector.app.sets import Account, LoadedSet, account_of, load_directory
from connector.cli.place import AsJson, Data, Place, place_of, run
from connector.cli.talk import ERROR, OK, guarded, note, say_json
from connector.config.settings import environ, load_settings
from connector.core.bind import alone
from connector.core.errors import MappingSetError
from connector.core.mapping import Problem
from connector.engine.clock import SystemClock
from connector.obs.metrics import Metrics
from connector.store.db import Database

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A mapping set.")]


def check(
    directory: Directory,
    offline: Annotated[bool, typer.Option("--offline", help="The files only; no env:, database or CRM.")] = False,  # noqa: FBT002
    data: Data = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Check a mapping set: every mistake as file:line:col, then rights, triggers, indexes, account, budget, clocks.

    Changes nothing. Exit 1 when something keeps the set from running.

    Example: connector check mappings/sales-engagement --offline
    """
    guarded(lambda: _check(directory, data, offline=offline, as_json=as_json))


def _check(directory: Path, data: Path | None, *, offline: bool, as_json: bool) -> int:
    try:
        loaded = load_directory(directory)
    except MappingSetError as error:
        return _say(directory.name, Diagnosis(error.problems, ()), as_json=as_json)
    if offline:
        mistakes = (problem for _mapping, problem in alone(loaded.spec))
        return _say(loaded.name, Diagnosis(tuple(sorted({*loaded.warnings, *mistakes})), ()), as_json=as_json)
    return _say(loaded.name, run(_examine(loaded, place_of(data), demo=data is not None)), as_json=as_json)


async def _examine(loaded: LoadedSet, place: Place, *, demo: bool) -> Diagnosis:
    database = await connected(place.database_url)
    try:
        account = await _account(database, loaded, place, demo=demo)
        public, cipher = load_settings().public_url, cipher_of(place.secret_key, place.secret_key_old)
        metrics = Metrics(version("connector"))
        return await Doctor(loaded, account, database, SystemClock(), metrics, public, cipher).examine()
    finally:
        await database.close()


async def _account(database: Database, loaded: LoadedSet, place: Place, *, demo: bool) -> Account:
    """A demo points its connection at its sandbox, whatever the file says."""
    if demo:
        return await stored_account(database, cipher_of(place.secret_key, place.secret_key_old), loaded.name)
    return account_of(loaded, environ())


def _say(name: str, found: Diagnosis, *, as_json: bool) -> int:
    """Problems and what is wrong on stderr, the answer on stdout."""
    if as_json:
        say_json(
            {
                "connection": name,
                "sound": found.sound,
                "problems": [_problem(problem) for problem in found.problems],
                "findings": [asdict(finding) for finding in found.findings],
            }
        )
    for problem in found.problems:
        note(str(problem))
    if not as_json:
        _say_findings(found.findings)
        if found.sound:
            print(f"{name}: ok")
    return OK if found.sound else ERROR


def _problem(problem: Problem) -> dict[str, Any]:
    return {**asdict(problem.at), "message": problem.message, "warning": problem.warning}


def _say_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        line = f"{finding.level:7} {finding.check}: {finding.message}"
        advice = f"\n        {finding.advice}" if finding.advice else ""
        if finding.level is Level.OK:
            print(line)
        else:
            note(line + advice)
