"""Fetch-all: two thousand rows meet two thousand records; what belongs together is paired, nothing is doubled."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.engine.rig import Rig, rig

ROWS, RECORDS, SHARED = 2000, 2000, 1200
TABLES = """
create schema app;
create table app.contacts (id bigint generated always as identity primary key, email text, first text, crm_id bigint);
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
  - {column: crm_id, crm: id}
"""
SET = {"contact.yaml": CONTACT}


def _person(number: int) -> dict[str, Any]:
    """A record of the CRM; of those that the app knows too, the shared e-mail is often not the primary one."""
    mails = [f"Person{number}@X.test"]
    if number % 3 == 0:
        mails.insert(0, f"private{number}@y.test")
    if number % 5 == 0:
        mails.append(f"old{number}@z.test")
    emails = [{"value": mail, "primary": place == 0, "label": "work"} for place, mail in enumerate(mails)]
    return {"name": f"P{number} N", "first_name": f"P{number}", "emails": emails}


async def _fill(world: Rig, rows: int, records: int, shared: int) -> None:
    """Rows 1…rows, records from rows - shared + 1 on: so many are both."""
    await world.db.execute(
        "insert into app.contacts (email, first) select 'pErson' || n || '@x.TEST', 'P' || n from generate_series(1, $1) n",
        rows,
    )
    first = rows - shared + 1
    people = [_person(number) for number in range(first, first + records)]
    await world.control("POST", "bulk", {"entity": "person", "records": people})


async def _people(world: Rig) -> list[dict[str, Any]]:
    """All persons of the CRM."""
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": "500", **({"cursor": cursor} if cursor else {})}
        async with world.http.get(f"{world.sandbox.url}/api/v2/persons", params=query) as response:
            page = await response.json()
        found += page["data"]
        cursor = page["additional_data"]["next_cursor"]
    return found


async def _check(world: Rig, total: int, rows: int) -> None:
    """Everybody stands once on either side, and every row is linked with the record of the same person."""
    people = await _people(world)
    assert len(people) == total
    assert len({number for person in people for number in _numbers(person)}) == total
    held = await world.db.fetch("select id, email, first, crm_id from app.contacts")
    assert len(held) == total
    by_id = {person["id"]: person for person in people}
    wrong = [row["id"] for row in held if row["first"] != by_id[row["crm_id"]]["first_name"]]
    assert wrong == []
    assert all(row["email"] for row in held)
    assert sum(row["email"].startswith("pErson") for row in held) >= rows - SHARED
    links = await world.db.fetch("select mapping, app_key, crm_id from connector.link where state = 'linked'")
    assert Counter((row["app_key"] is None, row["crm_id"] is None) for row in links) == {(False, False): total}


def _numbers(person: dict[str, Any]) -> set[str]:
    return {mail["value"].lower() for mail in person["emails"] if mail["value"].lower().startswith("person")}


async def _state(world: Rig) -> list[set[tuple[Any, ...]]]:
    """Rows, links and what is stored of them, with the transactions that wrote them last."""
    queries = (
        "select xmin::text, * from app.contacts",
        "select xmin::text, id, app_key, crm_id, base::text, state, committed_at from connector.link",
        "select id from connector.journal",
    )
    return [{tuple(row.values()) for row in await world.db.fetch(query)} for query in queries]


async def _writes(world: Rig) -> dict[str, int]:
    stats = await world.control("GET", "stats")
    return {name: count for name, count in stats["requests"].items() if not name.startswith("GET")}


@pytest.mark.parametrize("webhooks", [False, True], ids=["sweeps", "webhooks-first"])
async def test_two_thousand_meet_two_thousand(database: str, tmp_path: Path, *, webhooks: bool) -> None:
    """1,200 are paired by any of their e-mails whatever the case, 800 are made on each side; again: no write at all.

    The same when every webhook arrives before the answer to the write that caused it.
    """
    async with rig(database, tmp_path / "set", SET, TABLES, webhooks=webhooks) as world:
        await _fill(world, ROWS, RECORDS, SHARED)
        await world.control("POST", "webhooks", {"before_response": True})
        await world.start(fetch_all=False)
        await world.ask("fetch_all", {"confirmed": True})
        await world.idle()
        await _check(world, ROWS + RECORDS - SHARED, ROWS)
        await world.control("DELETE", "stats")
        before = await _state(world)
        await world.ask("fetch_all", {"confirmed": True})
        await world.quiet()
        assert await _state(world) == before
        assert await _writes(world) == {}


async def _parked(world: Rig) -> Counter[tuple[str, str]]:
    """What is parked, by side and cause."""
    rows = await world.db.fetch(
        """select case when l.crm_id is null then 'row' else 'record' end as side, w.cause
           from connector.work w join connector.link l on l.id = w.link_id where w.state = 'parked'"""
    )
    return Counter((row["side"], row["cause"]) for row in rows)


async def _mail(world: Rig, *, rows: int = 0, records: int = 0, mail: str) -> None:
    """So many rows and records with one e-mail."""
    await world.db.execute(
        "insert into app.contacts (email, first) select $1, 'row ' || n from generate_series(1, $2) n", mail, rows
    )
    for number in range(records):
        await world.person(name=f"record {number}", emails=[{"value": mail.upper(), "primary": True}])


async def test_who_cannot_be_told_apart_is_parked_and_nobody_is_made(database: str, tmp_path: Path) -> None:
    """One e-mail on several rows or records, met by the other side: no pair is guessed, nothing is doubled."""
    async with rig(database, tmp_path / "set", SET, TABLES) as world:
        await _mail(world, rows=2, records=1, mail="two-rows@x.test")
        await _mail(world, rows=1, records=2, mail="two-records@x.test")
        await world.start(fetch_all=False)
        await world.ask("fetch_all", {"confirmed": True})
        await world.quiet()
        assert await world.db.fetchval("select count(*) from app.contacts") == 3
        assert len(await _people(world)) == 3
        assert await world.db.fetchval("select count(*) from connector.link where state = 'linked'") == 0
        parked = await _parked(world)
        assert sum(parked.values()) == 6
        assert {cause for _, cause in parked} == {"ambiguous"}


async def test_the_second_with_a_key_that_is_linked_is_parked(database: str, tmp_path: Path) -> None:
    """A row or record that comes with the e-mail of a pair is a duplicate: parked, never made on the other side."""
    async with rig(database, tmp_path / "set", SET, TABLES) as world:
        await _mail(world, rows=1, records=1, mail="ada@x.test")
        await world.start()
        await world.quiet()
        await _mail(world, rows=1, mail="Ada@x.test")
        await world.quiet()
        await _mail(world, records=1, mail="other@x.test")
        await world.quiet()
        await _mail(world, records=1, mail="other@x.test")
        await world.quiet()
        assert await world.db.fetchval("select count(*) from app.contacts") == 3
        assert len(await _people(world)) == 3
        assert await _parked(world) == Counter({("row", "duplicate"): 1, ("record", "duplicate"): 1})


async def test_rows_alike_make_one_record(database: str, tmp_path: Path) -> None:
    """Several rows with one e-mail that the CRM does not know, at once: one record, the others are parked."""
    async with rig(database, tmp_path / "set", SET, TABLES) as world:
        await world.start()
        await _mail(world, rows=5, mail="ada@x.test")
        await world.quiet()
        assert len(await _people(world)) == 1
        assert await _parked(world) == Counter({("row", "duplicate"): 4})


async def test_a_second_email_counts_from_the_moment_it_is_there(database: str, tmp_path: Path) -> None:
    """A person gets a second e-mail, then a row with it appears: it is that person, nobody is made."""
    async with rig(database, tmp_path / "set", SET, TABLES, webhooks=True) as world:
        made = await world.person(name="Ada", emails=[{"value": "ada@x.test", "primary": True}])
        await world.start()
        await world.idle()
        mails = [{"value": "ada@x.test", "primary": True}, {"value": "ada@y.test", "primary": False}]
        await world.crm("PATCH", f"/api/v2/persons/{made['id']}", {"emails": mails})
        await world.idle()
        await _mail(world, rows=1, mail="ADA@y.test")
        await world.idle()
        assert len(await _people(world)) == 1
        assert await _parked(world) == Counter({("row", "duplicate"): 1})


async def test_a_deleted_records_key_is_free_again(database: str, tmp_path: Path) -> None:
    """A record is deleted; a row that comes later with its e-mail is somebody new: made in the CRM, and not archived."""
    async with rig(database, tmp_path / "set", SET, TABLES) as world:
        files = [{"value": "ada@x.test", "primary": True}]
        made = await world.person(name="Ada", emails=files)
        await world.start()
        await world.quiet()
        await world.crm("DELETE", f"/api/v2/persons/{made['id']}")
        await world.quiet()
        await world.ask("sweep", {"kind": "full"})
        await world.quiet()
        await _mail(world, rows=1, mail="ada@x.test")
        await world.quiet()
        (person,) = await _people(world)
        assert person["first_name"] == "row 1"
