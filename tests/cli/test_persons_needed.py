"""``failures`` and ``brake``: what only a person can end."""

from __future__ import annotations

import asyncio

from tests.cli.conftest import Demo, Done, Sides, until

PARKED = """select l.id from connector.work w join connector.link l on l.id = w.link_id
            where w.state = 'parked' and l.app_key = $1"""


async def test_a_parked_pair_is_listed_tried_again_and_accepted(demo: Demo, sides: Sides) -> None:
    """A value that the table refuses: retry parks it again, discard agrees to differ, a later edit flows as ever."""
    row = await sides.someone(6)
    person = f"persons/{row['pipedrive_id']}"
    await sides.db.execute("alter table app.contacts add constraint no_refusals check (last_name <> 'Refused')")
    await sides.crm("PATCH", person, {"last_name": "Refused"})
    link = await until(lambda: sides.db.fetchval(PARKED, str(row["id"])))
    (listed,) = [each for each in (await demo.command("failures", "list", "--json")).json if each["link"] == link]
    assert (listed["mapping"], listed["cause"]) == ("contact", "row_refused:23514:no_refusals")
    waited, retried = await asyncio.gather(
        demo.command("wait", "--timeout", "30"), demo.command("failures", "retry", "--cause", "row_refused", "--json")
    )
    assert waited.code == 0
    assert retried.json["sales-engagement"] == {"parked (row_refused:23514:no_refusals)": 1}
    assert (await demo.command("failures", "discard", str(link))).code == 0
    assert not await sides.db.fetchval(PARKED, str(row["id"]))
    kept = await sides.db.fetchval("select last_name from app.contacts where id = $1", row["id"])
    assert kept == row["last_name"]
    await sides.crm("PATCH", person, {"last_name": "Allowed"})
    query = "select last_name = 'Allowed' from app.contacts where id = $1"
    await until(lambda: sides.db.fetchval(query, row["id"]))


async def test_a_parked_half_is_kept_apart(demo: Demo, sides: Sides) -> None:
    """A row that matches a record of another row: discarded, it stays as it is until `sync`."""
    taken = await sides.someone(7)
    key = await sides.db.fetchval("insert into app.contacts (email) values ($1) returning id", taken["email"])
    link = await until(lambda: sides.db.fetchval(PARKED, str(key)))
    unknown, done = await asyncio.gather(
        demo.command("failures", "retry", "999999999"), demo.command("failures", "discard", str(link), "--json")
    )
    assert unknown.code == 1
    assert "999999999" in unknown.err
    assert done.json == {"discarded": {"sales-engagement": 1}}
    told = (await demo.command("explain", "contact", str(key), "--json")).json
    assert (told["link"]["state"], told["link"]["cause"]) == ("unlinked", "discarded")
    again = await demo.command("sync", "contact", str(key), "--json")
    assert (again.code, again.json["outcome"]) == (1, "parked (duplicate)")
    await sides.db.execute("delete from app.contacts where id = $1", key)


async def test_the_brake_is_shown_and_released(demo: Demo, sides: Sides) -> None:
    """Clearing the phones of a quarter and more of the links waits; released, it happens, and no more than that."""
    await sides.db.execute("update app.contacts set phone = null where pipedrive_id is not null")
    braked = "select count(*) from connector.work where state = 'braked'"
    stopped = await until(lambda: sides.db.fetchval(braked))
    people, program = await asyncio.gather(demo.command("brake", "show"), demo.command("brake", "show", "--json"))
    assert "clear phones in the CRM" in people.out
    assert "on release: phones will be emptied in" in people.err
    assert "connector brake release sales-engagement/contact" in people.err
    (state,) = program.json
    assert [(each["mapping"], each["side"]) for each in state["tripped"]] == [("contact", "crm")]
    assert sum(each["records"] for each in state["stopped"]) >= stopped
    assert all(crm_id.isdecimal() for each in state["stopped"] for crm_id in each["crm_ids"])
    assert [each["tokens"] for each in state["stopped"]] == [6 * each["records"] for each in state["stopped"]]
    released: Done = await demo.command("brake", "release", "contact", "--json")
    assert released.json["released"]["sales-engagement"] >= stopped
    await until(lambda: _without_phones(sides))


async def _without_phones(sides: Sides) -> bool:
    return not any(person["phones"] for person in await sides.crm("GET", "persons?limit=5"))
