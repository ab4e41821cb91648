"""The shipped set `sales-engagement`: calls, e-mails, tasks and comments of the app become activities and notes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from tests.engine.rig import Rig, rig

SET: Final = Path(__file__).parents[2] / "mappings" / "sales-engagement"
FILES: Final = {
    file.name: file.read_text(encoding="utf-8") for file in SET.glob("*.yaml") if file.name != "connection.yaml"
}
TABLES: Final = (SET / "tables.sql").read_text(encoding="utf-8")
PEOPLE: Final = """
with company as (insert into app.companies (name) values ('Acme') returning id),
     contact as (insert into app.contacts (first_name, last_name, email, company_id)
                 select 'Ada', 'Byron', 'ada@x.test', id from company returning id)
insert into app.deals (title, contact_id, company_id) select 'Rollout', contact.id, company.id from contact, company
"""
CALL: Final = """
insert into app.calls (direction, state, started_at, duration_s, recording_url, details, contact_id, company_id, deal_id,
                       user_email)
select 'outbound', 'completed', '2026-05-04 09:15:00+00', 754, 'https://rec.test/1', E'first\nsecond <b>', p.id, c.id, d.id, $1
from app.contacts p, app.companies c, app.deals d
"""
EMAIL: Final = """
insert into app.emails (subject, from_address, to_addresses, body, sent_at, contact_id)
select 'Offer', 'me@acme.test', 'ada@x.test', E'Dear Ada,\nhere.', '2026-05-04 10:00:00+00', id from app.contacts
"""
TASK: Final = """
insert into app.tasks (name, status, worked_s, contact_id, company_id)
select 'Prepare', 'open', 3600, p.id, p.company_id from app.contacts p
"""
COMMENT: Final = "insert into app.comments (body, {column}) select $1, id from app.{table}"


async def _activities(world: Rig, kind: str) -> list[dict[str, Any]]:
    found = await world.crm("GET", "/api/v2/activities", limit=500)
    return [activity for activity in found if activity["type"] == kind]


async def _ids(world: Rig) -> dict[str, int]:
    """What the CRM calls our people."""
    row = await world.db.fetchrow(
        """select p.pipedrive_id as person, c.pipedrive_id as organization, d.pipedrive_id as deal
           from app.contacts p, app.companies c, app.deals d where p.email = 'ada@x.test' and c.name = 'Acme'
             and d.title = 'Rollout'"""
    )
    assert row is not None
    return dict(row)


async def _people(world: Rig) -> dict[str, int]:
    """A company with a contact and a deal, on both sides."""
    await world.start()
    await world.db.execute("delete from app.deals; delete from app.contacts; delete from app.companies")
    await world.idle()
    await world.db.execute(PEOPLE)
    await world.idle()
    return await _ids(world)


async def test_a_call_becomes_an_activity_and_its_edits_follow(database: str, tmp_path: Path) -> None:
    """Subject naming direction and state, duration cut to the minute, participant, targets, recording link and details."""
    async with rig(database, tmp_path / "set", FILES, TABLES, records=1, webhooks=True) as world:
        ids = await _people(world)
        user = (await world.crm("GET", "/api/v1/users"))[-1]
        await world.db.execute(CALL, user["email"])
        await world.idle()
        (call,) = await _activities(world, "call")
        assert (call["subject"], call["done"], call["duration"][:5]) == ("Outbound call, completed", True, "00:12")
        assert (call["due_date"], call["due_time"][:5]) == ("2026-05-04", "09:15")
        assert (call["deal_id"], call["org_id"], call["owner_id"]) == (ids["deal"], ids["organization"], user["id"])
        assert [(p["person_id"], p["primary"]) for p in call["participants"]] == [(ids["person"], True)]
        assert '<a href="https://rec.test/1"' in call["note"]
        assert "first<br" in call["note"]
        assert "second &lt;b&gt;" in call["note"]
        await world.db.execute("update app.calls set state = 'missed', duration_s = 0")
        await world.idle()
        (later,) = await _activities(world, "call")
        assert (later["id"], later["subject"], later["duration"][:5]) == (call["id"], "Outbound call, missed", "00:00")


async def test_an_email_becomes_an_activity(database: str, tmp_path: Path) -> None:
    """Subject, From, To and body."""
    async with rig(database, tmp_path / "set", FILES, TABLES, records=1, webhooks=True) as world:
        ids = await _people(world)
        await world.db.execute(EMAIL)
        await world.idle()
        (email,) = await _activities(world, "email")
        assert (email["subject"], email["done"], email["person_id"]) == ("Offer", True, ids["person"])
        words = ("From: me@acme.test", "To: ada@x.test", "Dear Ada,", "here.")
        assert all(word in email["note"] for word in words)
        places = [email["note"].index(word) for word in words]
        assert places == sorted(places)


async def test_a_task_becomes_an_activity_when_it_is_completed(database: str, tmp_path: Path) -> None:
    """Open tasks stay in the app; a completed one has its name, work duration, status and completion date."""
    async with rig(database, tmp_path / "set", FILES, TABLES, records=1, webhooks=True) as world:
        ids = await _people(world)
        await world.db.execute(TASK)
        await world.idle()
        before = await _activities(world, "task")
        await world.db.execute("update app.tasks set status = 'done', completed_at = '2026-05-05 16:30:00+00'")
        await world.idle()
        (task,) = [a for a in await _activities(world, "task") if a not in before]
        assert before == []
        assert (task["subject"], task["done"], task["duration"][:5]) == ("Prepare", True, "01:00")
        assert (task["due_date"], task["due_time"][:5]) == ("2026-05-05", "16:30")
        assert (task["person_id"], task["org_id"]) == (ids["person"], ids["organization"])
        assert "Status: done" in task["note"]
        assert "2026-05-05" in task["note"]


async def test_comments_become_notes_on_what_they_are_about(database: str, tmp_path: Path) -> None:
    """A comment on a contact, a company or a deal is a note there; an edit of the comment edits the note."""
    async with rig(database, tmp_path / "set", FILES, TABLES, records=1, webhooks=True) as world:
        ids = await _people(world)
        for column, table in (("contact_id", "contacts"), ("company_id", "companies"), ("deal_id", "deals")):
            await world.db.execute(COMMENT.format(column=column, table=table), f"about {table}")
        await world.idle()
        notes = {note["content"]: note for note in await world.crm("GET", "/v1/notes") if "about" in note["content"]}
        targets = {text: (n["person_id"], n["org_id"], n["deal_id"]) for text, n in notes.items()}
        assert targets == {
            "about contacts": (ids["person"], None, None),
            "about companies": (None, ids["organization"], None),
            "about deals": (ids["person"], ids["organization"], ids["deal"]),  # the CRM adds whom the deal is about
        }
        await world.db.execute("update app.comments set body = 'about them all' where contact_id is not null")
        await world.idle()
        again = {note["id"]: note["content"] for note in await world.crm("GET", "/v1/notes")}
        assert again[notes["about contacts"]["id"]] == "about them all"
        assert len(again) == len({note["id"] for note in notes.values()})


async def test_everything_at_once_waits_for_its_parents(database: str, tmp_path: Path) -> None:
    """People and what happened with them come in one transaction: parents first, nothing twice, all references there."""
    async with rig(database, tmp_path / "set", FILES, TABLES, records=1, webhooks=True) as world:
        await world.control("POST", "webhooks", {"before_response": True})
        await world.start()
        await world.db.execute("delete from app.deals; delete from app.contacts; delete from app.companies")
        await world.idle()
        async with world.db.transaction():
            await world.db.execute(PEOPLE)
            for _ in range(5):
                await world.db.execute(CALL, None)
                await world.db.execute(EMAIL)
                await world.db.execute(COMMENT.format(column="deal_id", table="deals"), "about deals")
        await world.idle()
        ids = await _ids(world)
        calls, emails = await _activities(world, "call"), await _activities(world, "email")
        assert [(c["person_id"], c["org_id"], c["deal_id"]) for c in calls] == [
            (ids["person"], ids["organization"], ids["deal"])
        ] * 5
        assert [e["person_id"] for e in emails] == [ids["person"]] * 5
        notes = [note for note in await world.crm("GET", "/v1/notes") if note["content"] == "about deals"]
        assert [note["deal_id"] for note in notes] == [ids["deal"]] * 5
        await world.control("DELETE", "stats")
        await world.ask("fetch_all", {})
        await world.quiet()
        stats = await world.control("GET", "stats")
        assert {name for name in stats["requests"] if not name.startswith("GET")} == set()


async def test_an_activity_that_a_person_edits_is_put_right(database: str, tmp_path: Path) -> None:
    """One-directional: what the CRM's users change of our fields is undone, what they add beside them stays."""
    async with rig(database, tmp_path / "set", FILES, TABLES, records=1, webhooks=True) as world:
        await _people(world)
        await world.db.execute(CALL, None)
        await world.idle()
        (call,) = await _activities(world, "call")
        edit = {"subject": "Mine", "done": False, "location": {"value": "Berlin"}}
        await world.crm("PATCH", f"/api/v2/activities/{call['id']}", edit)
        await world.idle()
        (later,) = await _activities(world, "call")
        assert (later["subject"], later["done"]) == ("Outbound call, completed", True)
        assert later["location"]["value"] == "Berlin"
