"""Rule 12, merges: two records that were each a row's become one, while people edit both of them on both sides.

The accidents: the record that went comes back, a row follows nobody's policy, deals and notes lose whom they were about,
an edit goes with the record that lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.engine.accidents.people import channel, requests, work
from tests.engine.rig import Rig, rig

TABLES: Final = """
create schema app;
create table app.companies (id bigint generated always as identity primary key, name text, address text,
  archived_at timestamptz);
create table app.contacts (id bigint generated always as identity primary key, first text, email text, phone text,
  company_id bigint references app.companies on delete set null, archived_at timestamptz);
create table app.deals (id bigint generated always as identity primary key, title text, reason text,
  company_id bigint references app.companies on delete set null,
  contact_id bigint references app.contacts on delete set null, archived_at timestamptz);
create table app.calls (id bigint generated always as identity primary key, subject text,
  company_id bigint references app.companies on delete set null,
  contact_id bigint references app.contacts on delete set null,
  deal_id bigint references app.deals on delete set null);
create table app.comments (id bigint generated always as identity primary key, body text,
  company_id bigint references app.companies on delete set null,
  contact_id bigint references app.contacts on delete set null,
  deal_id bigint references app.deals on delete set null);
"""
HEAD: Final = "object: {object}\ntable: app.{table}\nkey: id\ndirection: both\n"
LEANS: Final = """\
  - {column: company_id, crm: org_id, link: company}
  - {column: contact_id, crm: person_id, link: contact}
"""
PERSON: Final = """\
  - {column: first, crm: first_name}
  - {column: email, crm: emails, as: primary}
  - {column: phone, crm: phones, as: primary}
  - {column: company_id, crm: org_id, link: company}
"""
ON_DEALS: Final = f"{LEANS}  - {{column: deal_id, crm: deal_id, link: deal}}\n"
MAPPINGS: Final = {
    "company": ("organization", "companies", "  - {column: name, crm: name}\n  - {column: address, crm: address}\n"),
    "contact": ("person", "contacts", PERSON),
    "deal": ("deal", "deals", f"  - {{column: title, crm: title}}\n{LEANS}"),
    "call": ("activity", "calls", f"  - {{column: subject, crm: subject}}\n{ON_DEALS}"),
    "comment": ("note", "comments", f"  - {{column: body, crm: content}}\n{ON_DEALS}"),
}
"""Mapping → object, table, lines."""
POLICIES: Final = {"set": "{set: {archived_at: now}}", "delete": "delete", "unlink": "unlink", "none": "none"}
MERGED: Final = {
    "person": ("persons", "contacts", "contact_id", "person_id", "first", "first_name"),
    "organization": ("organizations", "companies", "company_id", "org_id", "name", "name"),
    "deal": ("deals", "deals", "deal_id", "deal_id", "title", "title"),
}
"""Object → its path, table, reference on either side, and what people edit of it on either side."""


def _files(policy: str) -> dict[str, str]:
    deletes = f"deletes: {{receive: {POLICIES[policy]}, send: none}}\n"
    return {
        f"{name}.yaml": HEAD.format(object=kind, table=table)
        + (deletes if kind in MERGED else "")
        + ("set: {crm: {type: call}}\n" if kind == "activity" else "")
        + f"fields:\n{lines}"
        for name, (kind, table, lines) in MAPPINGS.items()
    }


@asynccontextmanager
async def _world(
    database: str, directory: Path, policy: str, files: Mapping[str, str] | None = None, *, speed: float = 1.0
) -> AsyncIterator[Rig]:
    """Two of each on both sides. A deal, a call and a note are about the first person, the first company and deal."""
    async with rig(database, directory / "set", files or _files(policy), TABLES, webhooks=True, speed=speed) as world:
        await world.start()
        await world.db.execute("""
            insert into app.companies (name) values ('a'), ('b');
            insert into app.contacts (first, email, company_id) values ('a', 'a@x.test', 1), ('b', 'b@x.test', 2);
            insert into app.deals (title, company_id, contact_id) values ('a', 1, 1), ('b', 2, 2);
            insert into app.calls (subject, company_id, contact_id, deal_id) values ('call', 1, 1, 1);
            insert into app.comments (body, company_id, contact_id, deal_id) values ('note', 1, 1, 1);
        """)
        await world.quiet()
        yield world


async def _records(world: Rig, kind: str) -> dict[int, dict[str, Any]]:
    path = {"note": "/v1/notes", "activity": "/api/v2/activities"}.get(kind) or f"/api/v2/{MERGED[kind][0]}"
    found = await world.crm("GET", path, limit=500)
    return {record["id"]: record for record in found or [] if record.get("active_flag", True)}


async def _rows(world: Rig, table: str) -> dict[int, dict[str, Any]]:
    return {row["id"]: dict(row) for row in await world.db.fetch(f"select * from app.{table} order by id")}


async def _pairs(world: Rig, kind: str) -> dict[str, tuple[str | None, str]]:
    """Row → record and state of its link."""
    found = await world.db.fetch(
        "select app_key, crm_id, state from connector.link where object = $1 and app_key is not null order by id", kind
    )
    return {row["app_key"]: (row["crm_id"], row["state"]) for row in found}


async def _merge(world: Rig, kind: str, loser: int, survivor: int) -> None:
    await world.crm("PUT", f"/v1/{MERGED[kind][0]}/{loser}/merge", {"merge_with_id": survivor})


async def _edit(world: Rig, kind: str, record: int, value: str) -> None:
    path, *_, name = MERGED[kind]
    await world.crm("PATCH", f"/api/v2/{path}/{record}", {name: value})


async def _rest(world: Rig) -> None:
    """Everything has come to rest, deletions that no event told included; and one more pass writes nothing.

    Where both rows hold what the CRM has not got, a person lets the loser's follow the policy.
    """
    await world.idle()
    await world.ask("sweep", {"kind": "full"})
    await world.quiet()
    if ("parked", "merge_unsent") in await work(world):
        await world.ask("retry", {})
        await world.quiet()
    before = await _writes(world)
    await world.ask("sweep", {"kind": "full"})
    await world.quiet()
    assert await _writes(world) == before
    assert await work(world) == []


async def _writes(world: Rig) -> tuple[int, ...]:
    return tuple([await requests(world, method) for method in ("POST", "PATCH", "PUT", "DELETE")])


async def _settled(world: Rig, kind: str, policy: str, *, survivor: int = 2) -> None:
    """One record lives, with its row; the other row is as the policy says; whoever leant on it leans on the survivor."""
    _, table, column, field, edited, name = MERGED[kind]
    records, rows = await _records(world, kind), await _rows(world, table)
    assert list(records) == [survivor]
    assert rows[survivor][edited] == records[survivor][name]
    pairs = await _pairs(world, kind)
    assert pairs[str(survivor)] == (str(survivor), "linked")
    left = {str(key) for key in (1, 2, 3)} & pairs.keys() - {str(survivor)}
    state = "unlinked" if policy in ("unlink", "none") else "deleted"
    assert {pairs[key][1] for key in left} == {state}
    others = [row for key, row in rows.items() if key != survivor]
    assert bool(others) == (policy != "delete")
    assert {row["archived_at"] is not None for row in others} <= {policy == "set"}
    for child, there in _children(kind).items():
        for record in (await _records(world, there)).values():
            assert _whom(record, field) == survivor, (there, record)
        for row in (await _rows(world, child)).values():
            assert row[column] == survivor, (child, row)


def _children(kind: str) -> Mapping[str, str]:
    found = {"calls": "activity", "comments": "note"}
    if kind != "deal":
        found["deals"] = "deal"
    return found


def _whom(record: dict[str, Any], field: str) -> int | None:
    whom = record.get(field)
    if field == "person_id" and whom is None:
        whom = next((each["person_id"] for each in record.get("participants") or () if each["primary"]), None)
    return whom


FATES: Final = {
    "told": {},
    "lost": {"drop": 1.0},
    "late": {"delay": 0.5},
    "muddled": {"reorder": 0.5, "duplicate": 0.3},
}


SQUARE: Final = [
    (kind, policy, list(FATES)[(row + column) % len(FATES)])
    for row, kind in enumerate(MERGED)
    for column, policy in enumerate(POLICIES)
]
"""Every kind with every policy and with every fate of its events, every policy with most of the fates."""


@pytest.mark.parametrize(("kind", "policy", "fate"), SQUARE)
async def test_two_linked_records_that_are_being_edited(
    database: str, tmp_path: Path, *, kind: str, policy: str, fate: str
) -> None:
    """Both are edited on both sides before, during and after their merge, whatever becomes of its events.

    Fails when a link follows to a record that has a row, when the loser's row makes a new record, when a reference goes
    with the row that it pointed to.
    """
    async with _world(database, tmp_path, policy) as world:
        _, table, *_, edited, _ = MERGED[kind]
        await world.control("POST", "webhooks", FATES[fate])
        await world.db.execute(f"update app.{table} set {edited} = {edited} || ' before'")
        await _edit(world, kind, 2, "b in the CRM")
        posts = await requests(world, "POST")
        await asyncio.gather(
            _merge(world, kind, 1, 2),
            world.db.execute(f"update app.{table} set {edited} = {edited} || ' during'"),
        )
        await _edit(world, kind, 2, "after")
        await world.db.execute(f"update app.{table} set {edited} = {edited} || ' at last' where id = 1")
        await _rest(world)
        assert await requests(world, "POST") == posts, "nothing was made again"
        await _settled(world, kind, policy)


async def test_who_leant_on_the_loser_leans_on_the_survivor_before_its_row_goes(database: str, tmp_path: Path) -> None:
    """The events come seconds later, none of them tells of the deals: their rows follow, and nothing is emptied.

    Fails when the row goes first: PostgreSQL empties the references to it, which then is the app's later edit.
    """
    async with _world(database, tmp_path, "delete") as world:
        await world.control("POST", "settings", {"merge_tells_children": False})
        await world.control("POST", "webhooks", {"delay": 3.0})
        await _merge(world, "person", 1, 2)
        await _rest(world)
        await _settled(world, "person", "delete")


async def test_a_merge_that_nobody_has_told_of(database: str, tmp_path: Path) -> None:
    """Without webhooks it looks like a deletion; who referred to the loser's row refers to the survivor's before that goes.

    Fails when only a merge that is known has them looked at first: the deals of the survivor are deleted on both sides.
    """
    async with _world(database, tmp_path, "delete") as world:
        await world.db.execute("""
            alter table app.deals drop constraint deals_contact_id_fkey,
              add foreign key (contact_id) references app.contacts on delete cascade""")
        await world.control("POST", "webhooks", {"drop": 1.0})
        await _merge(world, "person", 1, 2)
        await world.db.execute("update app.contacts set phone = '+44 1' where id = 1")
        await world.idle()
        assert list(await _rows(world, "contacts")) == [2]
        await _rest(world)
        assert len(await _rows(world, "deals")) == len(await _records(world, "deal")) == 2
        await _settled(world, "person", "delete")


async def test_rows_that_would_go_with_the_losers_row(database: str, tmp_path: Path) -> None:
    """The app deletes the deals of a contact with it: those of the loser have moved, and stay.

    Fails when the row goes first: its deals go along, and are the survivor's in the CRM.
    """
    async with _world(database, tmp_path, "delete") as world:
        await world.db.execute("""
            alter table app.deals drop constraint deals_contact_id_fkey,
              add foreign key (contact_id) references app.contacts on delete cascade""")
        await world.control("POST", "settings", {"merge_tells_children": False})
        await _merge(world, "person", 1, 2)
        await _rest(world)
        assert len(await _rows(world, "deals")) == len(await _records(world, "deal")) == 2
        await _settled(world, "person", "delete")


async def test_who_leant_on_the_loser_cannot_follow(database: str, tmp_path: Path) -> None:
    """The deals are paused: the loser's row is kept for a person to see, and goes once they have followed.

    Fails when the row goes after a while whatever refers to it, or when nobody calls it once nothing does any more.
    """
    async with _world(database, tmp_path, "delete", speed=20) as world:
        await world.db.execute("update connector.mapping set paused = true where mapping = 'deal'")
        await world.ask("gates", {})
        await _merge(world, "person", 1, 2)
        await world.until(lambda: _leant_on(world))
        assert len(await _rows(world, "contacts")) == 2
        await world.db.execute("update connector.mapping set paused = false")
        await world.ask("gates", {})
        await _rest(world)
        await _settled(world, "person", "delete")


@pytest.mark.parametrize("policy", list(POLICIES))
async def test_who_comes_to_lean_on_the_loser(database: str, tmp_path: Path, policy: str) -> None:
    """Deals are moved to the company, and made for it, before and after it is known that it was merged: they follow too.

    Fails when the row that a deal names is agreed on although the record that it stands for has another row.
    """
    moved = (
        "update app.deals set company_id = 1 where id = 2; insert into app.deals (title, company_id) values ('new', 1)"
    )
    async with _world(database, tmp_path, policy) as world:
        await world.control("POST", "webhooks", {"delay": 1.0})
        await _merge(world, "organization", 1, 2)
        await world.db.execute(moved)
        await _rest(world)
        await _settled(world, "organization", policy)
        if policy != "delete":
            await world.db.execute(moved)
            await _rest(world)
            await _settled(world, "organization", policy)


async def _leant_on(world: Rig) -> bool:
    return ("parked", "leant_on") in await work(world)


@pytest.mark.parametrize("policy", ["set", "unlink", "none"])
async def test_what_the_app_alone_says_of_the_loser(database: str, tmp_path: Path, policy: str) -> None:
    """Calls are only sent: old and new ones of the loser's row, which stays, are about the survivor in the CRM.

    Fails when a merged record counts as one that nobody can name: the call loses its person.
    """
    files = _files(policy)
    files["call.yaml"] = files["call.yaml"].replace("direction: both", "direction: send\nbackfill: all")
    async with _world(database, tmp_path, policy, files=files) as world:
        await _merge(world, "person", 1, 2)
        await _rest(world)
        await world.db.execute("insert into app.calls (subject, contact_id) values ('new', 1)")
        await _rest(world)
        calls = await _records(world, "activity")
        assert {call["subject"]: _whom(call, "person_id") for call in calls.values()} == {"call": 2, "new": 2}
        assert [row["contact_id"] for row in (await _rows(world, "calls")).values()] == [1, 1]


def _strangers() -> dict[str, str]:
    """Persons without a company are nobody's rows."""
    files = _files("set")
    files["contact.yaml"] += "only: {receive: {org_id: present}}\n"
    return files


async def test_a_record_is_merged_into_its_double(database: str, tmp_path: Path) -> None:
    """Both say the same, so that nothing is to be written: the row follows all the same, and hears of later edits.

    Fails when a link is moved only where a value moves with it.
    """
    async with _world(database, tmp_path, "set", files=_strangers()) as world:
        double = await world.person(name="a", emails=channel("a@x.test"))
        await world.idle()
        await _merge(world, "person", 1, double["id"])
        await _rest(world)
        assert (await _pairs(world, "person"))["1"] == (str(double["id"]), "linked")
        await _edit(world, "person", double["id"], "later")
        await _rest(world)
        assert (await _rows(world, "contacts"))[1]["first"] == "later"


async def test_two_records_are_merged_into_a_third_that_has_no_row(database: str, tmp_path: Path) -> None:
    """The first to come is its row from then on, the other follows the policy.

    Fails when both follow: one record would be two rows', and what is committed with them is refused as a whole.
    """
    async with _world(database, tmp_path, "set", files=_strangers()) as world:
        third = await world.person(name="third", emails=channel("c@x.test"))
        await world.idle()
        await world.control("POST", "webhooks", {"delay": 1.0})
        for loser in (1, 2):
            await _merge(world, "person", loser, third["id"])
        await world.db.execute("update app.contacts set phone = '+44 ' || id")
        await _rest(world)
        pairs, rows = await _pairs(world, "person"), await _rows(world, "contacts")
        assert sorted(state for _, state in pairs.values()) == ["deleted", "linked"]
        (key,) = [int(key) for key, (_, state) in pairs.items() if state == "linked"]
        assert pairs[str(key)][0] == str(third["id"])
        assert {row["id"] for row in rows.values() if row["archived_at"] is None} == {key}


async def test_a_record_is_merged_into_one_whose_row_is_gone(database: str, tmp_path: Path) -> None:
    """The app had deleted the survivor's row, which left its record alone: it is the loser's row's now.

    Fails when what remembers a dead pair counts as the survivor's row: the loser's row goes although there is no other.
    """
    async with _world(database, tmp_path, "set") as world:
        await world.db.execute("delete from app.contacts where id = 2")
        await world.idle()
        assert (await _pairs(world, "person"))["2"] == ("2", "unlinked")
        await _merge(world, "person", 1, 2)
        await _rest(world)
        assert (await _pairs(world, "person"))["1"] == ("2", "linked")
        assert (await _rows(world, "contacts"))[1]["archived_at"] is None


async def test_a_chain_of_merges_and_the_end_of_its_survivor(database: str, tmp_path: Path) -> None:
    """Three linked persons become one, which somebody deletes: every row follows the policy, nobody comes back.

    Fails when a step of the chain makes a record or a row anew, or when a later deletion is not believed.
    """
    async with _world(database, tmp_path, "set") as world:
        await world.db.execute("insert into app.contacts (first, email) values ('c', 'c@x.test')")
        await world.idle()
        posts = await requests(world, "POST")
        await world.control("POST", "webhooks", {"reorder": 0.3})
        await _merge(world, "person", 1, 2)
        await world.db.execute("update app.contacts set first = first || ' between'")
        await _merge(world, "person", 2, 3)
        await _rest(world)
        await _settled(world, "person", "set", survivor=3)
        await world.crm("DELETE", "/api/v2/persons/3")
        await _rest(world)
        assert {state for _, state in (await _pairs(world, "person")).values()} == {"deleted"}
        assert {row["archived_at"] is not None for row in (await _rows(world, "contacts")).values()} == {True}
        assert await _records(world, "person") == {}
        assert await requests(world, "POST") == posts


async def test_the_survivor_is_deleted_before_anybody_hears_of_the_merge(database: str, tmp_path: Path) -> None:
    """Both are gone: both rows follow the policy, and neither makes a new record.

    Fails when the loser's row is taken for one that has no record yet.
    """
    async with _world(database, tmp_path, "set") as world:
        posts = await requests(world, "POST")
        await world.control("POST", "webhooks", {"delay": 1.0, "reorder": 0.5})
        await _merge(world, "person", 1, 2)
        await world.crm("DELETE", "/api/v2/persons/2")
        await world.db.execute("update app.contacts set phone = '+44 1'")
        await _rest(world)
        assert {state for _, state in (await _pairs(world, "person")).values()} == {"deleted"}
        assert await requests(world, "POST") == posts
        assert await _records(world, "person") == {}


async def test_the_history_of_both_rows(database: str, tmp_path: Path) -> None:
    """What was edited before the merge and after it can be read by either row, and that the one record went into the other.

    Fails when the journal of the loser's row ends without a word, or begins anew.
    """
    async with _world(database, tmp_path, "set") as world:
        await world.db.execute("update app.contacts set first = first || ' before'")
        await world.idle()
        await _merge(world, "person", 1, 2)
        await _rest(world)
        await _edit(world, "person", 2, "after")
        await _rest(world)
        found = await world.db.fetch(
            "select app_key, crm_id, action, reason, lines ->> 'first_name' as said from connector.journal"
            " where mapping = 'contact' order by id"
        )
        told = {key: [(row["action"], row["reason"]) for row in found if row["app_key"] == key] for key in ("1", "2")}
        assert told["1"] == [("create", "create"), ("update", "merge"), ("update", "crm_deleted:merged")]
        assert [action for action, _ in told["2"]] == ["create", "update", "update"]
