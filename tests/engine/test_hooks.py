"""Who keeps the webhook subscription, and what is thought of webhooks where a person does."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from connector.engine.context import Context
from connector.engine.sweeps.schedule import WITHOUT_WEBHOOKS, Scheduler
from connector.engine.sweeps.sweeper import Sweeper
from tests.engine.rig import CONNECTION, Rig, rig

TABLES = "create schema app; create table app.people (id bigint generated always as identity primary key, name text);"
PERSON = "object: person\ntable: app.people\nkey: id\ndirection: receive\nfields: [{column: name, crm: name}]\n"
AUTO = CONNECTION.replace("recent: 1h", "recent: auto")


def _context(world: Rig) -> Context:
    assert world.daemon is not None
    context = world.daemon.running["test"].context
    assert context is not None
    return context


def _interval(world: Rig) -> timedelta:
    context = _context(world)
    return Scheduler(context, Sweeper.__new__(Sweeper)).recent_interval()


async def test_webhooks_that_are_switched_off_leave_no_subscription(database: str, tmp_path: Path) -> None:
    """The one that we made goes, somebody else's stays; switched on again, it is made anew."""
    async with rig(database, tmp_path / "set", {"person.yaml": PERSON}, TABLES, webhooks=True) as world:
        other = {"subscription_url": world.sandbox.url, "event_action": "*", "event_object": "*", "name": "theirs"}
        await world.crm("POST", "/v1/webhooks", other)
        await world.start()
        assert len(await world.crm("GET", "/v1/webhooks")) == 2
        (world.directory / "connection.yaml").write_text(CONNECTION + "webhooks: off\n", encoding="utf-8")

        async def urls(count: int) -> bool:
            return len(await world.crm("GET", "/v1/webhooks")) == count

        await world.until(lambda: urls(1))
        assert [each["name"] for each in await world.crm("GET", "/v1/webhooks")] == ["theirs"]
        (world.directory / "connection.yaml").write_text(CONNECTION, encoding="utf-8")
        await world.until(lambda: urls(2))


async def test_a_subscription_that_a_person_made_counts_once_it_delivers(database: str, tmp_path: Path) -> None:
    """Until then sweeps are all that is there; again so after a restart when nothing was heard for a day."""
    manual = AUTO + "webhooks: manual\nbudget: {daily: 1000}\n"
    files = {"person.yaml": PERSON}
    async with rig(database, tmp_path / "set", files, TABLES, connection=manual, webhooks=True) as world:
        await world.start()
        assert (_context(world).pushed, _interval(world)) == (False, WITHOUT_WEBHOOKS)
        assert world.daemon is not None
        address = world.daemon.running["test"].address
        assert address is not None
        login = {"http_auth_user": address.user, "http_auth_password": address.password}
        body = {"subscription_url": address.url, "event_action": "*", "event_object": "*", "name": "by hand", **login}
        await world.crm("POST", "/v1/webhooks", body)
        await world.person(name="Ada")
        await world.until(lambda: world.db.fetchval("select name = 'Ada' from app.people"))
        assert _context(world).pushed
        assert _interval(world) > WITHOUT_WEBHOOKS
        await world.until(lambda: world.db.fetchval("select last_webhook_at is not null from connector.connection"))
        await world.stop()
        await world.start(fetch_all=False)

        async def believed() -> bool:
            return _context(world).pushed

        await world.until(believed)
        world.clock.leap(86_400)
        assert not _context(world).pushed
