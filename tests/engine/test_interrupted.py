"""What histories at random have found, each accident alone."""

from __future__ import annotations

from pathlib import Path

from connector.core.model import CrmId, Lane
from connector.crm.clock import Clock
from connector.crm.pipedrive.adapter import PipedriveCRM
from tests.engine.business import FILES, TABLES
from tests.engine.rig import Rig, rig

SPEED = 60.0
PEOPLE = {name: FILES[name] for name in ("company.yaml", "contact.yaml", "deal.yaml")}


async def _person(world: Rig, mail: str) -> int:
    body = {"first_name": "Ann", "last_name": "Q", "emails": [{"value": mail, "primary": True}]}
    return int((await world.person(**body))["id"])


async def test_a_record_that_points_to_a_deleted_one_comes_without_it(database: str, tmp_path: Path) -> None:
    """The row of the deleted person is gone: the deal arrives without a contact, and is not refused by the foreign key."""
    async with rig(database, tmp_path / "set", PEOPLE, TABLES, speed=SPEED) as world:
        await world.start()
        person = await _person(world, "gone@x.test")
        await world.quiet()
        await world.db.execute("delete from app.contacts")
        await world.quiet()
        company = world.sandbox.api.company
        company.do(company.admin(), "person.restore", person)
        await world.crm("POST", "/api/v2/deals", {"title": "Late", "person_id": person})
        company.do(company.admin(), "person.delete", person)
        await world.quiet()
        assert await world.db.fetchval("select contact_id is null from app.deals where title = 'Late'")


async def test_a_restored_record_clears_what_its_deletion_wrote(database: str, tmp_path: Path) -> None:
    """The archive mark goes as it came, and what both sides changed meanwhile is merged at once."""
    async with rig(database, tmp_path / "set", PEOPLE, TABLES, speed=SPEED) as world:
        await world.start()
        firm = (await world.crm("POST", "/api/v2/organizations", {"name": "Phoenix"}))["id"]
        await world.quiet()
        await world.crm("DELETE", f"/api/v2/organizations/{firm}")
        await world.ask("sweep", {"kind": "full"})
        await world.until(lambda: world.db.fetchval("select archived_at is not null from app.companies"))
        await world.db.execute("update app.companies set address = 'Ash 1'")
        await world.control("POST", f"restore/organizations/{firm}")
        await world.quiet()
        assert await world.db.fetchval("select archived_at is null from app.companies")
        assert (await world.crm("GET", f"/api/v2/organizations/{firm}"))["address"]["value"] == "Ash 1"


async def test_an_edit_of_a_record_whose_create_has_no_answer_yet(database: str, tmp_path: Path) -> None:
    """When the create is found at last, what a person changed meanwhile is a change and reaches the row."""
    async with rig(database, tmp_path / "set", PEOPLE, TABLES, speed=SPEED) as world:
        await world.start()
        await world.control(
            "POST", "faults", {"kind": "disconnect_after", "method": "POST", "path": "/persons", "count": 1}
        )
        await world.db.execute(
            "insert into app.contacts (first, last, email, phone) values ('Bo', 'Q', 'bo@x.test', '1')"
        )
        (person,) = await world.until(lambda: world.crm("GET", "/api/v2/persons"))
        phones = {"phones": [{"value": "2", "primary": True}]}
        await world.crm("PATCH", f"/api/v2/persons/{person['id']}", phones)
        await world.idle()
        await world.quiet()
        assert await world.db.fetchval("select phone from app.contacts") == "2"
        assert len(await world.crm("GET", "/api/v2/persons")) == 1


async def test_what_was_found_out_outlives_a_refused_write(database: str, tmp_path: Path) -> None:
    """The row of a create without answer is deleted, the record is found, its deletion fails at first: it is not forgotten."""
    async with rig(database, tmp_path / "set", PEOPLE, TABLES, speed=SPEED) as world:
        await world.start()
        await world.control(
            "POST", "faults", {"kind": "disconnect_after", "method": "POST", "path": "/persons", "count": 1}
        )
        await world.control("POST", "faults", {"kind": "status", "code": 429, "method": "DELETE", "count": 1})
        await world.db.execute("insert into app.contacts (first, last, email) values ('Cy', 'Q', 'cy@x.test')")
        await world.until(lambda: world.crm("GET", "/api/v2/persons"))
        await world.db.execute("delete from app.contacts")
        await world.idle()
        await world.quiet()
        assert await world.crm("GET", "/api/v2/persons") == []
        assert await world.db.fetchval("select count(*) from app.contacts") == 0


async def test_a_record_deleted_between_its_read_and_its_write(database: str, tmp_path: Path) -> None:
    """The CRM's 404 is looked into, not left to a person: the next read proves the deletion."""
    async with rig(database, tmp_path / "set", PEOPLE, TABLES, speed=SPEED) as world:
        await world.start()
        person = await _person(world, "ed@x.test")
        await world.quiet()
        await world.control("POST", "faults", {"kind": "slow", "seconds": 0.3, "method": "PATCH", "count": 1})
        await world.db.execute("update app.contacts set first = 'Ed'")
        await world.until(lambda: world.db.fetchval("select count(*) from connector.intent"))
        company = world.sandbox.api.company
        company.do(company.admin(), "person.delete", person)
        await world.until(lambda: world.db.fetchval("select count(*) = 0 from app.contacts"))
        await world.idle()


async def test_definitions_of_an_earlier_start_name_the_identity(database: str, tmp_path: Path) -> None:
    """A start that cannot ask for the definitions recalls them: else every record would be read as nobody's."""
    async with rig(database, tmp_path / "set", PEOPLE, TABLES, speed=SPEED) as world:
        await world.start()
        await world.db.execute("insert into app.contacts (first, last, email) values ('Di', 'Q', 'di@x.test')")
        await world.quiet()
        (person,) = await world.crm("GET", "/api/v2/persons")
        assert world.daemon is not None
        context = world.daemon.running["test"].context
        assert context is not None
        clock = Clock(world.clock.now, world.clock.monotonic, world.clock.sleep)
        crm = PipedriveCRM(api_token=world.sandbox.token, clock=clock, url=world.sandbox.url)
        try:
            crm.recall(context.rules.metadata)
            key = CrmId(str(person["id"]))
            read = (await crm.read("person", [key], lane=Lane.LIVE))[key]
            assert str(getattr(read, "identity", None)).startswith("contact:")
        finally:
            await crm.close()
