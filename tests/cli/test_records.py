"""``explain`` and ``sync``: one record, by its key on either side."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.cli.conftest import Demo, Sides


def _line(told: Any, name: str) -> Any:
    return next(line for line in told["lines"] if line["line"] == name)


async def test_explain_tells_the_same_from_either_side(demo: Demo, sides: Sides) -> None:
    """By key and by CRM id: base, both values, rule, decision, link into the CRM; nothing is to be done."""
    row = await sides.someone(0)
    by_key, by_id, people = await asyncio.gather(
        demo.command("explain", "contact", str(row["id"]).upper(), "--json"),
        demo.command("explain", "sales-engagement/contact", "--crm", str(row["pipedrive_id"]), "--json"),
        demo.command("explain", "contact", str(row["id"])),
    )
    assert by_key.code == by_id.code == people.code == 0
    assert by_key.json["lines"] == by_id.json["lines"]
    told = by_key.json
    assert told["crm_url"].endswith(f"/person/{row['pipedrive_id']}")
    assert told["plan"]["reason"] == "in_agreement"
    line = _line(told, "emails")
    assert line["base"] == {"app": row["email"], "crm": row["email"], "valid": True}
    assert (line["app"], line["crm"], line["decision"], line["reason"]) == (
        row["email"],
        row["email"],
        "nothing",
        "unchanged",
    )
    assert row["email"] in people.out
    assert told["crm_url"] in people.out


async def test_explain_of_what_is_not_linked_or_not_there(demo: Demo, sides: Sides) -> None:
    """An excluded row says which filter; a key that no row has, and a key of the wrong type, are errors."""
    number = await sides.db.fetchval("insert into app.tasks (name, status) values ('Later', 'open') returning id")
    excluded, absent, wrong = await asyncio.gather(
        demo.command("explain", "task", str(number), "--json"),
        demo.command("explain", "task", "99999999", "--json"),
        demo.command("explain", "contact", "12"),
    )
    assert excluded.json["plan"]["cause"] == "only.send completed_at"
    assert excluded.json["blocks"] == ["excluded: only.send completed_at"]
    assert _line(excluded.json, "subject")["app"] is not None
    assert (absent.code, wrong.code) == (1, 1)
    assert "no row of app.tasks" in absent.err
    assert "uuid" in wrong.err


async def test_explain_writes_nothing(demo: Demo, sides: Sides) -> None:
    """No link and no work for a record that nobody noticed."""
    await sides.pause(paused=True)
    try:
        person = await sides.crm("POST", "persons", {"name": "Unseen Person"})
        told = await demo.command("explain", "contact", "--crm", str(person["id"]), "--json")
        assert told.json["plan"]["reason"] == "insert"
        assert told.json["plan"]["row"]["values"]["last_name"] == "Person"
        assert "the connection is paused" in told.json["blocks"]
        assert not await sides.db.fetchval("select count(*) from app.contacts where last_name = 'Person'")
    finally:
        await sides.pause(paused=False)


async def test_sync_prints_the_plan_and_carries_it_out(demo: Demo, sides: Sides) -> None:
    """What the plan says is on the other side when the command returns; a paused connection is refused."""
    row = await sides.someone(1)
    await sides.pause(paused=True)
    await sides.db.execute("update app.contacts set phone = '+48 22 777' where id = $1", row["id"])
    refused = await demo.command("sync", "contact", str(row["id"]))
    await sides.pause(paused=False)
    assert refused.code == 1
    assert "connector resume sales-engagement" in refused.err
    done = await demo.command("sync", "contact", str(row["id"]), "--json")
    assert (done.code, done.json["outcome"]) == (0, "done")
    person = await sides.crm("GET", f"persons/{row['pipedrive_id']}")
    assert "+48 22 777" in [phone["value"] for phone in person["phones"]]


async def test_sync_related_brings_what_the_record_refers_to(demo: Demo, sides: Sides) -> None:
    """A deal, its contact and that one's company, whoever is referred to first; what is not there keeps nobody."""
    await sides.pause(paused=True)
    company = await sides.db.fetchval("insert into app.companies (name) values ('Related Ltd') returning id")
    contact = await sides.db.fetchval(
        "insert into app.contacts (first_name, last_name, company_id) values ('Rela', 'Ted', $1) returning id", company
    )
    deal = await sides.db.fetchval(
        "insert into app.deals (title, contact_id, company_id) values ('Related', $1, $2) returning id",
        contact,
        company,
    )
    await sides.pause(paused=False)
    done = await demo.command("sync", "deal", str(deal), "--related", "--json")
    assert (done.code, done.json["outcome"]) == (0, "done")
    related = [(each["record"], each["outcome"]) for each in done.json["related"]]
    assert related == [(f"company {company}", "done"), (f"contact {contact}", "done")]
    made = await sides.db.fetchval("select pipedrive_id from app.deals where id = $1", deal)
    assert (await sides.crm("GET", f"deals/{made}"))["person_id"] is not None
