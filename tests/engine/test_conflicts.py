"""Both sides edit one record: different fields survive together, the same field goes by the documented clocks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connector.core.model import Lane
from connector.store import notes, work
from tests.engine.rig import Rig, rig

TABLES = """
create schema app;
create table app.contacts (id bigint generated always as identity primary key, email text, first text, last text,
  role text, phone text, note text);
"""
CONTACT = """
object: person
table: app.contacts
key: id
direction: both
match: [email]
fields:
  - {column: email, crm: emails, as: primary}
  - {column: first, crm: first_name}
  - {column: last, crm: last_name}
  - {column: phone, crm: phones, as: primary, conflict: app}
  - {column: note, crm: Remark, conflict: review}
  - {column: role, crm: Role, conflict: crm}
"""
HEARING = pytest.mark.parametrize("webhooks", [True, False], ids=["webhooks", "sweeps"])


async def _world(world: Rig, people: int) -> tuple[list[int], dict[str, str]]:
    """People who agree on both sides, daemon running; their CRM ids by row, and the keys of the custom fields."""
    keys = {}
    for name in ("Remark", "Role"):
        made = await world.crm("POST", "/api/v2/personFields", {"field_name": name, "field_type": "varchar"})
        keys[name] = made["field_code"]
    await world.start()
    await world.db.execute(
        """insert into app.contacts (email, first, last, role, phone, note)
           select 'p' || n || '@x.test', 'first', 'last', 'role', '1', 'note' from generate_series(1, $1) n""",
        people,
    )
    await world.quiet()
    found = await world.crm("GET", "/api/v2/persons")
    ids = {int(p["emails"][0]["value"].partition("@")[0][1:]): p["id"] for p in found}
    return [ids[n] for n in range(1, people + 1)], keys


async def _edit(world: Rig, person: int, **fields: Any) -> None:
    await world.crm("PATCH", f"/api/v2/persons/{person}", fields)


async def _rest(world: Rig, *, webhooks: bool) -> None:
    await (world.idle() if webhooks else world.quiet())


async def _row(world: Rig, number: int) -> dict[str, Any]:
    found = await world.db.fetchrow("select * from app.contacts where id = $1", number)
    assert found is not None
    return dict(found)


async def _losers(world: Rig, number: int) -> dict[str, Any]:
    """What gave way, by line, as the journal kept it."""
    rows = await world.db.fetch("select lines from connector.journal where app_key = $1 order by id", str(number))
    return {name: line["loser"] for row in rows for name, line in json.loads(row["lines"]).items() if "loser" in line}


@HEARING
async def test_edits_of_different_fields_both_survive(database: str, tmp_path: Path, *, webhooks: bool) -> None:
    """The app changes one field, the CRM another, before either was told: nobody loses."""
    async with rig(database, tmp_path / "set", {"contact.yaml": CONTACT}, TABLES, webhooks=webhooks) as world:
        (person,), _ = await _world(world, 1)
        await world.db.execute("update app.contacts set last = 'by the app'")
        await _edit(world, person, first_name="by the CRM")
        await _rest(world, webhooks=webhooks)
        row, record = await _row(world, 1), await world.crm("GET", f"/api/v2/persons/{person}")
        assert (row["first"], row["last"]) == ("by the CRM", "by the app")
        assert (record["first_name"], record["last_name"]) == ("by the CRM", "by the app")
        assert await _losers(world, 1) == {}


@HEARING
async def test_the_later_edit_of_a_field_wins(database: str, tmp_path: Path, *, webhooks: bool) -> None:
    """Edits further apart than the band, made while the daemon is stopped: the later stays, the earlier is journalled."""
    async with rig(database, tmp_path / "set", {"contact.yaml": CONTACT}, TABLES, webhooks=webhooks) as world:
        (one, other), _ = await _world(world, 2)
        await world.stop()
        await _at(world, -60, 1, "app first")
        await _edit(world, one, first_name="crm second")
        await _edit(world, other, first_name="crm first")
        await _at(world, 60, 2, "app second")
        await world.start(fetch_all=False)
        await world.quiet()
        assert (await _row(world, 1))["first"] == "crm second"
        assert (await world.crm("GET", f"/api/v2/persons/{other}"))["first_name"] == "app second"
        assert await _losers(world, 1) == {"first_name": {"side": "app", "value": "app first"}}
        assert await _losers(world, 2) == {"first_name": {"side": "crm", "value": "crm first"}}


async def _at(world: Rig, seconds: int, number: int, text: str) -> None:
    """An edit of the app whose note says that it was made so many seconds from now."""
    await world.db.execute("update app.contacts set first = $2 where id = $1", number, text)
    await world.db.execute(
        """update connector.change set at = at + make_interval(secs => $1)
           where id = (select max(id) from connector.change)""",
        seconds,
    )


async def test_of_several_edits_the_latest_counts(database: str, tmp_path: Path) -> None:
    """Notes of one column need not come in the order of their times: its clock is the latest of them."""
    async with rig(database, tmp_path / "set", {"contact.yaml": CONTACT}, TABLES) as world:
        (person,), _ = await _world(world, 1)
        await world.stop()
        await _edit(world, person, first_name="by the CRM")
        await _at(world, 60, 1, "by the app")
        await _at(world, -60, 1, "by the app again")
        await world.start(fetch_all=False)
        await world.quiet()
        assert (await world.crm("GET", f"/api/v2/persons/{person}"))["first_name"] == "by the app again"


async def test_the_field_named_by_a_webhook_counts_and_not_the_record(database: str, tmp_path: Path) -> None:
    """The CRM's record changed later, but in another field: the app's later edit of this one wins."""
    async with rig(database, tmp_path / "set", {"contact.yaml": CONTACT}, TABLES, webhooks=True) as world:
        (person,), _ = await _world(world, 1)
        async with world.db.transaction():
            await world.db.execute("select 1 from connector.link for update")
            await _edit(world, person, first_name="by the CRM")
            world.clock.leap(120)
            await _at(world, -60, 1, "by the app")
            await _edit(world, person, last_name="later")
        await world.idle()
        row, record = await _row(world, 1), await world.crm("GET", f"/api/v2/persons/{person}")
        assert (row["first"], row["last"]) == ("by the app", "later")
        assert (record["first_name"], record["last_name"]) == ("by the app", "later")
        assert (await _losers(world, 1))["first_name"] == {"side": "crm", "value": "by the CRM"}


async def test_a_note_that_waits_to_be_folded_is_known(database: str, tmp_path: Path) -> None:
    """A row shows an edit before its note was folded: a conflict is not settled without the edit's time."""
    async with rig(database, tmp_path / "set", {"contact.yaml": CONTACT}, TABLES) as world:
        await _world(world, 2)
        await world.stop()
        links = {row["app_key"]: row["id"] for row in await world.db.fetch("select * from connector.link")}
        claimed = dict.fromkeys(links.values(), 1)
        assert await notes.unfolded(world.db, "test", claimed) == frozenset()  # type: ignore[arg-type]
        await world.db.execute("update app.contacts set first = 'edited' where id = 2")
        assert await notes.unfolded(world.db, "test", claimed) == {links["2"]}  # type: ignore[arg-type]


async def test_a_note_that_was_folded_meanwhile_is_known(database: str, tmp_path: Path) -> None:
    """The edit is seen in the row by an item that was claimed before the edit's note was folded into it."""
    async with rig(database, tmp_path / "set", {"contact.yaml": CONTACT}, TABLES) as world:
        await _world(world, 1)
        await world.stop()
        (link,) = [row["id"] for row in await world.db.fetch("select id from connector.link")]
        await work.mark(world.db, "test", [work.Mark(link, Lane.LIVE)], world.clock.now())  # type: ignore[arg-type]
        assert await notes.unfolded(world.db, "test", {link: 1}) == frozenset()  # type: ignore[arg-type]
        await world.db.execute("update app.contacts set first = 'edited' where id = 1")
        await notes.fold_changes(world.db, "test", world.clock.now(), 10)  # type: ignore[arg-type]
        assert await notes.unfolded(world.db, "test", {link: 1}) == {link}  # type: ignore[arg-type]


async def test_rules_of_lines_settle_conflicts_whatever_the_clocks_say(database: str, tmp_path: Path) -> None:
    """`app` and `crm` win by rule; `review` leaves both sides as they are and is shown as a held value."""
    async with rig(database, tmp_path / "set", {"contact.yaml": CONTACT}, TABLES) as world:
        (person,), keys = await _world(world, 1)
        await world.stop()
        await _edit(
            world,
            person,
            phones=[{"value": "2", "primary": True}],
            custom_fields={keys["Remark"]: "by the CRM", keys["Role"]: "by the CRM"},
        )
        await world.db.execute("update app.contacts set phone = '3', note = 'by the app', role = 'by the app'")
        await world.start(fetch_all=False)
        await world.quiet()
        row, record = await _row(world, 1), await world.crm("GET", f"/api/v2/persons/{person}")
        assert (row["phone"], row["note"], row["role"]) == ("3", "by the app", "by the CRM")
        assert record["phones"][0]["value"] == "3"
        assert record["custom_fields"] == {keys["Remark"]: "by the CRM", keys["Role"]: "by the CRM"} | {
            key: value for key, value in record["custom_fields"].items() if key not in keys.values()
        }
        assert await _losers(world, 1) == {
            "phones": {"side": "crm", "value": "2"},
            "Role": {"side": "app", "value": "by the app"},
        }
        assert json.loads(await world.db.fetchval("select held_values from connector.link_status")) == {
            "Remark": "review"
        }


async def test_a_conflict_under_review_ends_when_the_sides_agree(database: str, tmp_path: Path) -> None:
    """A person makes both sides equal: nothing is held any more."""
    async with rig(database, tmp_path / "set", {"contact.yaml": CONTACT}, TABLES) as world:
        (person,), keys = await _world(world, 1)
        await world.stop()
        await _edit(world, person, custom_fields={keys["Remark"]: "this"})
        await world.db.execute("update app.contacts set note = 'that'")
        await world.start(fetch_all=False)
        await world.quiet()
        await world.db.execute("update app.contacts set note = 'this'")
        await world.quiet()
        assert await world.db.fetchval("select held_values from connector.link_status") == "{}"
        assert (await _row(world, 1))["note"] == "this"
