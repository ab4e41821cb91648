"""``status``, ``wait``, ``pause``, ``resume``, ``fetch-all``: a daemon at work, watched and steered from outside."""

from __future__ import annotations

import asyncio

from tests.cli.conftest import PERSONS, Demo, Sides, until

WAITING = """select true from connector.work w join connector.link l on l.id = w.link_id
             where l.app_key = $1 and w.state = 'waiting' and w.cause = $2"""


async def test_status_for_people_and_programs(demo: Demo) -> None:
    """One connection with its owner, budget, sweeps and mappings."""
    people, program = await asyncio.gather(demo.command("status"), demo.command("status", "--json"))
    assert people.code == program.code == 0
    (told,) = program.json["connections"]
    assert (told["connection"], told["state"], told["paused"]) == ("sales-engagement", "ok", False)
    assert told["owner"]
    windows = {window["name"]: window for window in told["budget"]}
    assert windows.keys() == {"burst", "daily"}
    assert windows["daily"].keys() >= {"limit", "remaining", "resets_at", "forecast_seconds"}
    assert told.keys() >= {"lanes", "sweeps", "parked", "held", "quarantined", "brake"}
    assert "tokens left, resets in" in people.out
    mappings = {mapping["mapping"]: mapping for mapping in told["mappings"]}
    assert mappings["contact"]["linked"] >= PERSONS
    assert mappings["contact"]["fetched_all_at"]
    assert {(sweep["object"], sweep["kind"]) for sweep in told["sweeps"]} >= {("person", "recent"), ("person", "full")}
    assert "app.contacts" in people.out


async def test_wait_returns_when_both_sides_agree(demo: Demo, sides: Sides) -> None:
    """An edit made just before is on the other side afterwards."""
    row = await sides.someone(2)
    await sides.db.execute("update app.contacts set last_name = 'Waited' where id = $1", row["id"])
    done = await demo.command("wait", "--timeout", "30", "--json")
    assert (done.code, done.json["done"]) == (0, True)
    assert (await sides.crm("GET", f"persons/{row['pipedrive_id']}"))["last_name"] == "Waited"


async def test_a_resumed_mapping_takes_up_what_waited(demo: Demo, sides: Sides) -> None:
    """A paused mapping's records wait with that cause; the others go on."""
    assert (await demo.command("pause", "sales-engagement/contact")).err == "sales-engagement/contact: paused\n"
    row = await sides.someone(8)
    await sides.db.execute("update app.contacts set last_name = 'Resumed' where id = $1", row["id"])
    await until(lambda: sides.db.fetchval(WAITING, str(row["id"]), "paused"))
    assert (await demo.command("resume", "contact")).code == 1
    assert "contact is paused; go on: connector resume sales-engagement/contact" in (await demo.command("resume")).err
    assert (await demo.command("resume", "sales-engagement/contact")).code == 0
    await until(lambda: _called(sides, f"persons/{row['pipedrive_id']}", "Resumed"))


async def test_fetch_all_waits_for_no_person(demo: Demo, sides: Sides) -> None:
    """A mapping that is paused is refused by name; what only waits for the end of a pause keeps it from no end."""
    await demo.command("pause", "sales-engagement/contact")
    refused = await demo.command("fetch-all", "sales-engagement/contact", "--yes")
    assert (refused.code, "connector resume sales-engagement/contact" in refused.err) == (1, True)
    await demo.command("resume", "sales-engagement/contact")
    await demo.command("pause", "--sends")
    await sides.db.execute("insert into app.companies (name) values ('Unsent')")
    fetched = await demo.command("fetch-all", "sales-engagement/company", "--yes")
    await demo.command("resume", "--sends")
    assert (fetched.code, "sends are paused" in fetched.err) == (0, True)
    await until(lambda: sides.db.fetchval("select pipedrive_id from app.companies where name = 'Unsent'"))


async def test_a_paused_connection_is_never_done(demo: Demo, sides: Sides) -> None:
    """`wait` exits 3 at once and says why; what was changed meanwhile follows when work is resumed."""
    assert (await demo.command("pause", "--json")).json == [
        {"connection": "sales-engagement", "mapping": None, "sends": False, "paused": True}
    ]
    row = await sides.someone(3)
    await sides.db.execute("update app.contacts set last_name = 'Paused' where id = $1", row["id"])
    waited, fetched = await asyncio.gather(
        demo.command("wait", "--timeout", "3600"), demo.command("fetch-all", "--yes")
    )
    assert waited.code == 3
    assert "connector resume sales-engagement" in waited.err
    assert (fetched.code, fetched.out) == (1, "")
    person = f"persons/{row['pipedrive_id']}"
    assert (await sides.crm("GET", person))["last_name"] != "Paused"
    assert (await demo.command("resume", "sales-engagement")).code == 0
    await until(lambda: _called(sides, person, "Paused"))


async def _called(sides: Sides, person: str, last_name: str) -> bool:
    return bool((await sides.crm("GET", person))["last_name"] == last_name)


async def test_paused_sends_hold_back_only_what_is_sent(demo: Demo, sides: Sides) -> None:
    """The CRM's edits arrive, the app's wait with their cause and go out on `resume --sends`."""
    sent, received = await sides.someone(4), await sides.someone(5)
    await demo.command("pause", "--sends")
    await sides.db.execute("update app.contacts set last_name = 'Sent' where id = $1", sent["id"])
    await sides.crm("PATCH", f"persons/{received['pipedrive_id']}", {"last_name": "Received"})
    query = "select last_name = 'Received' from app.contacts where id = $1"
    await until(lambda: sides.db.fetchval(query, received["id"]))
    waits = (
        "select cause from connector.link_status s join connector.work w on w.link_id = s.blocked_by or true where 1=0"
    )
    del waits
    await until(lambda: sides.db.fetchval(WAITING, str(sent["id"]), "sends_paused"))
    told = await demo.command("explain", "contact", str(sent["id"]), "--json")
    assert "nothing is sent: sends_paused" in told.json["blocks"]
    await demo.command("resume", "--sends")
    await until(lambda: _called(sides, f"persons/{sent['pipedrive_id']}", "Sent"))


async def test_fetch_all_counts_and_asks_first(demo: Demo) -> None:
    """Creates, pairs and the price are printed; without a yes nothing is done."""
    refused, done = await asyncio.gather(
        demo.command("fetch-all", "contact", answer="n\n"), demo.command("fetch-all", "--yes", "--json")
    )
    assert refused.code == 1
    assert "creates in the CRM" in refused.err
    assert "tokens" in refused.err
    assert done.code == 0
    told = done.json["sales-engagement"]
    assert told["tokens"] > 0
    assert told["mappings"]["company"]["creates"] == told["mappings"]["company"]["inserts"] == 0


async def test_migrate_leaves_a_running_daemon_alone(demo: Demo) -> None:
    """Any number of times."""
    done = await demo.command("migrate", "--json")
    assert (done.code, done.json["applied"]) == (0, [])
    assert "running daemon" in done.json["triggers"]["sales-engagement"]
