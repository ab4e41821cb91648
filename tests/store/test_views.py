"""What an app sees in its database beside its own tables: pairs with their state, and the CRM's definitions by name."""

from __future__ import annotations

from pathlib import Path

from tests.engine.rig import rig

TABLES = "create schema app; create table app.people (id bigint generated always as identity primary key, name text);"
PERSON = "object: person\ntable: app.people\nkey: id\ndirection: both\nfields: [{column: name, crm: name}]\n"


async def test_reports_join_what_the_connector_knows(database: str, tmp_path: Path) -> None:
    """Every view says of which connection; `synced` finds a row by its table and key."""
    async with rig(database, tmp_path / "set", {"person.yaml": PERSON}, TABLES) as world:
        await world.crm(
            "POST",
            "/api/v2/personFields",
            {"field_name": "Tier", "field_type": "enum", "options": [{"label": "Gold"}, {"label": "Silver"}]},
        )
        await world.start()
        await world.db.execute("insert into app.people (name) values ('Ada')")
        await world.quiet()
        pair = await world.db.fetchrow("select * from connector.synced('app.people', '1')")
        assert pair is not None
        assert (pair["connection"], pair["state"], pair["error"]) == ("test", "linked", None)
        told = await world.ask("explain", {"mapping": "person", "key": "1"})
        assert pair["url"] == told["crm_url"] == f"{world.sandbox.url}/person/{pair['crm_id']}"
        status = await world.db.fetchrow("select * from connector.link_status")
        assert status is not None
        assert {"connection", "state", "last_error", "blocked_by", "crm_url"} <= set(status.keys())
        users = await world.db.fetch("select connection, email, active from connector.crm_user")
        assert {(row["connection"], row["active"]) for row in users} == {("test", True)}
        stages = await world.db.fetch("select pipeline, name from connector.stage where connection = 'test'")
        assert ("Pipeline", "Lead in") in {tuple(row) for row in stages}
        assert await world.db.fetchval("select count(*) from connector.pipeline where name = 'Pipeline'") == 1
        field = await world.db.fetchrow("select * from connector.field where object = 'person' and name = 'Tier'")
        assert field is not None
        assert (field["type"], field["custom"], field["options"]) == ("enum", True, ["Gold", "Silver"])
