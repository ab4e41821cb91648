"""Rule 9, what may become of a call that we made and do not know of, before anybody looks: it is never made twice.

A call carries no key of ours. It is told by what it shows: what the CRM does to values does not hide it, and where somebody
has edited it at once a person must say whether it is ours.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.accidents.doubt import MINUTE, living
from tests.engine.accidents.people import fault, links, people, stopped
from tests.engine.rig import Rig, rig

TABLES = """
create schema app;
create table app.contacts (id bigint generated always as identity primary key, last text, crm_id bigint);
create table app.calls (
  id bigint generated always as identity primary key, state text, seconds integer, details text, at timestamptz,
  owner text, contact_id bigint);
"""
CONTACT = people(
    "\nfields:\n  - {column: last, crm: last_name}\n  - {column: crm_id, crm: id}\n",
    table="app.contacts",
    direction="send",
    match="",
    deletes="",
)
CALL = people(
    '\nset: {crm: {type: call, done: true}}\nfields:\n  - {column: "Call, {{ state }}", crm: subject}\n'
    "  - {column: seconds, crm: duration, as: duration}\n  - {column: details, crm: note, as: html}\n"
    "  - {column: at, crm: [due_date, due_time], as: datetime}\n  - {column: owner, crm: owner_id, as: user_email}\n"
    "  - {column: contact_id, crm: person_id, link: contact}\n",
    object="activity",
    table="app.calls",
    direction="send",
    match="",
    deletes="",
)
FILES = {"contact.yaml": CONTACT["people.yaml"], "call.yaml": CALL["people.yaml"]}
ADD = """insert into app.calls (state, seconds, details, at, contact_id) values
         ('answered', 95, '<p onclick="x()">Hi <b>you</b> &amp; me<script>x()</script>', '2026-05-04 23:59:30+02', $1)"""
Happening = Callable[[Rig], Awaitable[Any]]


def patch(**fields: Any) -> Happening:
    """Somebody edits the call."""
    return lambda world: world.crm("PATCH", "/api/v2/activities/1", fields)


async def delete_person(world: Rig) -> None:
    """Somebody deletes whom the call was with."""
    await world.crm("DELETE", "/api/v2/persons/1")


async def merge_person(world: Rig) -> None:
    """Whom the call was with is merged into another person."""
    await world.crm("PUT", "/v1/persons/1/merge", {"merge_with_id": 2})


async def change_row(world: Rig) -> None:
    """The row becomes another one meanwhile."""
    await world.db.execute("update app.calls set state = 'missed', seconds = 0, details = '', contact_id = null")


async def delete_row(world: Rig) -> None:
    """The row goes."""
    await world.db.execute("delete from app.calls")


async def colleague(world: Rig) -> None:
    """A colleague's own call about the same time."""
    await world.crm("POST", "/api/v2/activities", {"subject": "Call, answered", "type": "call", "done": True})


async def nothing(_world: Rig) -> None:
    """All stays as the CRM stored it: cleaned, cut to the minute, owned by us."""


@pytest.mark.parametrize(
    "happens", [nothing, delete_person, patch(participants=[]), change_row, colleague], ids=lambda each: each.__doc__
)
async def test_it_is_found_again(database: str, tmp_path: Path, happens: Happening) -> None:
    """The call that the CRM has is the row's, and there is no other one of ours.

    Fails when a value that the CRM spells in its own way, or a reference that is gone, makes it another call.
    """
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        await _in_doubt(world, "disconnect_after")
        await happens(world)
        world.clock.leap(MINUTE)
        await world.quiet()
        ours = [link for link in await links(world) if link[0] == "1"][-1]
        assert ours == ("1", "1", "linked")
        assert len(await living(world, "activity")) == 1 + (happens is colleague)


@pytest.mark.parametrize(
    "happens",
    [
        pytest.param(patch(subject="Called Ann"), id="its subject"),
        pytest.param(patch(done=False), id="what set.crm had set"),
        pytest.param(patch(participants=[{"person_id": 2, "primary": True}]), id="whom it was with"),
        pytest.param(merge_person, id="whom it was with was merged"),
    ],
)
async def test_it_was_edited_at_once(database: str, tmp_path: Path, happens: Happening) -> None:
    """Nobody can tell whether that is ours: a person must, and until then there is one call.

    Fails when only a record that shows all that was sent counts: it is made again.
    """
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        await _in_doubt(world, "disconnect_after")
        world.clock.leap(2)
        await happens(world)
        world.clock.leap(MINUTE)
        await stopped(world, ("parked", "ambiguous"))
        assert len(await living(world, "activity")) == 1


async def test_it_was_never_made(database: str, tmp_path: Path) -> None:
    """A colleague's own call of that minute is no reason not to make ours.

    Fails when whatever was made since is taken for ours.
    """
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        await _in_doubt(world, "disconnect_before")
        await colleague(world)
        world.clock.leap(MINUTE)
        await world.quiet()
        assert sorted(call["duration"] or "" for call in await living(world, "activity")) == ["", "00:01:00"]


async def test_the_row_went_meanwhile(database: str, tmp_path: Path) -> None:
    """The call that was made for it is known, and stays as `deletes` says.

    Fails when a doubt is forgotten with its row.
    """
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        await _in_doubt(world, "disconnect_after")
        await delete_row(world)
        world.clock.leap(MINUTE)
        await world.quiet()
        assert len(await living(world, "activity")) == 1
        assert ("1", "1", "unlinked") in await links(world)


@pytest.mark.parametrize("applied", ["first", "second", "both"])
async def test_two_that_are_nearly_alike(database: str, tmp_path: Path, applied: str) -> None:
    """Of two calls one says all that the other says, and more: each row gets its own.

    Fails when a call counts for every create whose values it shows: the row that says less takes the other's.
    """
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        await _begin(world)
        for which in ("first", "second"):
            kind = "disconnect_after" if applied in (which, "both") else "disconnect_before"
            await fault(world, kind, "POST", "activities$")
            contact = "1" if which == "second" else "null"
            await world.db.execute(f"insert into app.calls (state, contact_id) values ('answered', {contact})")
            await stopped(world, *[("waiting", "unknown_outcome")] * (1 + (which == "second")))
        world.clock.leap(MINUTE)
        await world.quiet()
        calls = {str(call["id"]): call["person_id"] for call in await living(world, "activity")}
        rows = {row["id"]: row["contact_id"] for row in await world.db.fetch("select * from app.calls")}
        found = await world.db.fetch("select app_key, crm_id from connector.link where mapping = 'call'")
        assert len(calls) == 2
        assert {int(each["app_key"]): calls[each["crm_id"]] for each in found} == rows


async def _begin(world: Rig) -> None:
    """Two contacts, Ann and Bob, are in the CRM as persons 1 and 2."""
    await world.start()
    await world.db.execute("insert into app.contacts (last) values ('Ann')")
    await world.quiet()
    await world.db.execute("insert into app.contacts (last) values ('Bob')")
    await world.quiet()


async def _in_doubt(world: Rig, kind: str) -> None:
    """A call with Ann was sent and nobody knows what became of it."""
    await _begin(world)
    await fault(world, kind, "POST", "activities$")
    await world.db.execute(ADD, 1)
    await stopped(world, ("waiting", "unknown_outcome"))
