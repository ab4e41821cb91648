"""``status``, ``wait``, ``pause``, ``resume``, ``fetch-all``: a daemon at work, watched and steered from outside."""

from __future__ import annotations

import asyncio

from tests.cli.conftest import PERSONS, Demo, Sides, until


async def test_status_for_people_and_programs(demo: Demo) -> None:
    """One connection with its owner, budget, sweeps and mappings."""
    people, program = await asyncio.gather(demo.command("status"), demo.command("status", "--json"))
    assert people.code == program.code == 0
    (told,) = program.json["connections"]
    assert (told["connection"], told["state"], told["paused"]) == ("sales-engagement", "ok", False)
    assert told["owner"]
    assert {window["name"] for window in told["budget"]} >= {"burst"}
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


async def test_a_paused_connection_is_never_done(demo: Demo, sides: Sides) -> None:
    """`wait` exits 3 after its time and says why; what was changed meanwhile follows when work is resumed."""
    assert (await demo.command("pause", "--json")).json == [
        {"connection": "sales-engagement", "mapping": None, "sends": False, "paused": True}
    ]
    row = await sides.someone(3)
    await sides.db.execute("update app.contacts set last_name = 'Paused' where id = $1", row["id"])
    waited, fetched = await asyncio.gather(demo.command("wait", "--timeout", "1"), demo.command("fetch-all", "--yes"))
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
    waiting = """select w.cause = 'sends_paused' from connector.work w join connector.link l on l.id = w.link_id
                 where l.app_key = $1 and w.state = 'waiting'"""
    await until(lambda: sides.db.fetchval(waiting, str(sent["id"])))
    told = await demo.command("explain", "contact", str(sent["id"]), "--json")
    assert "nothing is sent: sends_paused" in told.json["blocks"]
    await demo.command("resume", "--sends")
    await until(lambda: _called(sides, f"persons/{sent['pipedrive_id']}", "Sent"))


async def test_fetch_all_counts_and_asks_first(demo: Demo, sides: Sides) -> None:
    """Creates, pairs and the price are printed; without a yes nothing is done, with it what was counted."""
    refused = await demo.command("fetch-all", "contact", answer="n\n")
    assert refused.code == 1
    assert "creates in the CRM" in refused.err
    assert "tokens" in refused.err
    await sides.db.execute("update connector.mapping set paused = true where mapping = 'contact'")
    person = await sides.crm("POST", "persons", {"name": "Fetched Later", "emails": [{"value": "f@l.test"}]})
    await sides.db.execute(
        "insert into app.contacts (first_name, last_name, email) values ('F', 'L', 'f@l.test'), ('N', 'E', 'n@e.test')"
    )
    resumed = await demo.command("resume", "sales-engagement/contact")
    assert resumed.err == "sales-engagement/contact: resumed\n"
    done = await demo.command("fetch-all", "contact", "--yes", "--json")
    assert done.code == 0
    assert done.json["sales-engagement"]["tokens"] > 0
    assert (await demo.command("wait", "--timeout", "30")).code == 0
    rows = await sides.db.fetch("select email, pipedrive_id from app.contacts where email in ('f@l.test', 'n@e.test')")
    found = {row["email"]: row["pipedrive_id"] for row in rows}
    assert len(rows) == 2
    assert found["f@l.test"] == person["id"]
    assert found["n@e.test"] is not None


async def test_migrate_leaves_a_running_daemon_alone(demo: Demo) -> None:
    """Any number of times."""
    done = await demo.command("migrate", "--json")
    assert (done.code, done.json["applied"]) == (0, [])
    assert "running daemon" in done.json["triggers"]["sales-engagement"]
