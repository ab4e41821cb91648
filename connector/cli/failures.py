"""``connector failures``: parked records and oscillating lines, one by one or by cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from connector.app.commands import Desk
from connector.cli.place import AsJson, Data, at_desk
from connector.cli.talk import age, note, say_json, table
from connector.cli.watch import settled
from connector.core.errors import ConnectorError
from connector.core.model import LinkId
from connector.store.failures import Parked, parked

failures = typer.Typer(
    help="Parked records, and lines that are held for oscillating: list them, try them again, accept them as they are."
    "\n\nExample: connector failures list",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
Cause = Annotated[str | None, typer.Option("--cause", help="Only those parked for this cause.")]
Links = Annotated[list[int] | None, typer.Argument(metavar="[LINK...]", help="Numbers from `failures list`.")]
All = Annotated[bool, typer.Option("--all", help="All parked records.")]


@failures.command("list")
def list_(cause: Cause = None, data: Data = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """List parked records with their causes.

    Example: connector failures list --cause missing
    """
    at_desk(data, lambda desk: _list(desk, cause, as_json=as_json))


@failures.command()
def retry(
    links: Links = None,
    cause: Cause = None,
    everything: All = False,  # noqa: FBT002
    data: Data = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Try parked records again, and say what became of them.

    Example: connector failures retry --cause row_refused
    """
    chosen = _chosen(links, cause, everything=everything)
    at_desk(data, lambda desk: _retry(desk, chosen, as_json=as_json))


@failures.command()
def discard(
    links: Links = None,
    cause: Cause = None,
    everything: All = False,  # noqa: FBT002
    data: Data = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Accept the difference: what both sides hold now counts as agreed. A half record is kept apart until `sync`.

    Example: connector failures discard 4711
    """
    chosen = _chosen(links, cause, everything=everything)
    at_desk(data, lambda desk: _discard(desk, chosen, as_json=as_json))


def _chosen(links: Sequence[int] | None, cause: str | None, *, everything: bool) -> dict[str, Any]:
    if sum((bool(links), cause is not None, everything)) != 1:
        raise typer.BadParameter("give the numbers of links, or --cause, or --all", param_hint="LINK")
    return {"links": list(links)} if links else ({"cause": cause} if cause is not None else {})


async def _found(desk: Desk, chosen: Mapping[str, Any]) -> dict[str, Sequence[Parked]]:
    async with desk.database.session() as db:
        return {name: await parked(db, name, chosen.get("cause"), chosen.get("links")) for name in desk.sets}


async def _list(desk: Desk, cause: str | None, *, as_json: bool) -> None:
    found = await _found(desk, {"cause": cause})
    if as_json:
        say_json([{"connection": name} | asdict(each) for name, group in found.items() for each in group])
        return
    rows = [_row(desk, name, each) for name, group in found.items() for each in group]
    table(("link", "mapping", "row", "CRM id", "cause", "since"), rows)
    if not rows:
        note("nothing is parked")


def _row(desk: Desk, connection: str, each: Parked) -> Sequence[object]:
    name = f"{connection}/{each.mapping or each.object}"
    return (each.link, name, each.app_key, each.crm_id, each.cause, age(each.since, desk.clock.now()))


async def _owners(desk: Desk, chosen: Mapping[str, Any]) -> Sequence[str]:
    """The connections that have such records; ConnectorError where none has, or a number is not parked."""
    found = await _found(desk, chosen)
    known = {each.link for group in found.values() for each in group}
    missing = sorted(set(chosen.get("links", ())) - known)
    if missing:
        raise ConnectorError(f"not parked: {', '.join(map(str, missing))}", "see: connector failures list")
    return [name for name, group in found.items() if group]


async def _retry(desk: Desk, chosen: Mapping[str, Any], *, as_json: bool) -> None:
    outcomes: dict[str, Mapping[str, int]] = {}
    for name in await _owners(desk, chosen):
        outcomes[name] = await desk.served(name, lambda name=name: _watch(desk, name, chosen))  # type: ignore[misc]
    if as_json:
        say_json(outcomes)
        return
    for name, outcome in outcomes.items():
        note(f"{name}: {', '.join(f'{n} {word}' for word, n in outcome.items())}")
    if not outcomes:
        note("nothing is parked")


async def _watch(desk: Desk, connection: str, chosen: Mapping[str, Any]) -> Mapping[str, int]:
    """Asks, and returns what became of the records."""
    return await settled(desk, [LinkId(link) for link in (await desk.ask(connection, "retry", chosen))["links"]])


async def _discard(desk: Desk, chosen: Mapping[str, Any], *, as_json: bool) -> None:
    done = {name: (await desk.request(name, "discard", chosen))["discarded"] for name in await _owners(desk, chosen)}
    if as_json:
        say_json({"discarded": done})
        return
    for name, n in done.items():
        note(f"{name}: the differences of {n} records are accepted")
    if not done:
        note("nothing is parked")
