"""Who keeps the webhook subscription, and what is thought of webhooks where a person does."""

from __future__ import annotations

import asyncio
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


async def _urls(world: Rig) -> list[str]:
    return [each["subscription_url"] for each in await world.crm("GET", "/v1/webhooks")]


async def _trouble(world: Rig) -> str | None:
    told: str | None = await world.db.fetchval("select webhook_trouble from connector.connection")
    return told


async def test_silence_is_noticed_by_what_sweeps_find(database: str, tmp_path: Path) -> None:
    """The CRM changed and nobody told: the subscription is made anew, sweeps come more often, and `status` says why.

    Fails when a subscription that the CRM lists as active is believed in whatever sweeps find.
    """
    files, daily = {"person.yaml": PERSON}, AUTO + "budget: {daily: 10000}\n"
    async with rig(database, tmp_path / "set", files, TABLES, connection=daily, webhooks=True) as world:
        await world.start()
        (before,) = await world.crm("GET", "/v1/webhooks")
        often = _interval(world)
        assert often > WITHOUT_WEBHOOKS
        await world.control("POST", "webhooks", {"drop": 1.0})
        world.clock.leap(4000)
        await world.person(name="Ada")
        world.clock.leap(120)
        await world.ask("sweep", {"kind": "recent"})
        await world.until(lambda: world.db.fetchval("select exists (select from app.people where name = 'Ada')"))
        assert _interval(world) == WITHOUT_WEBHOOKS
        await world.until(lambda: _trouble(world))

        async def another() -> bool:
            return [each["id"] for each in await world.crm("GET", "/v1/webhooks")] not in ([before["id"]], [])

        await world.until(another)
        found = _context(world).metrics.sweep_found.labels("test", "person")
        assert found._value.get() >= 1  # the sweep that was due by then may meet the record at the same time
        await world.control("POST", "webhooks", {"drop": 0.0})
        world.clock.leap(4000)
        _context(world).hearing.doubt.set()
        await world.until(lambda: _content(world))
        assert _interval(world) == often


async def _content(world: Rig) -> bool:
    return await _trouble(world) is None


async def test_what_webhooks_told_is_not_taken_for_missed(database: str, tmp_path: Path) -> None:
    """A sweep meets records that were told of, and those that changed a moment ago: neither is held against webhooks.

    Fails when whatever a sweep finds unsettled counts.
    """
    async with rig(database, tmp_path / "set", {"person.yaml": PERSON}, TABLES, webhooks=True) as world:
        await world.start()
        await world.person(name="Ada")
        await world.idle()
        await world.control("POST", "webhooks", {"drop": 1.0})
        await world.person(name="Bob")
        world.clock.leap(30)
        await world.ask("sweep", {"kind": "recent"})
        await world.until(lambda: world.db.fetchval("select count(*) = 2 from app.people"))
        assert _context(world).hearing.missed_at is None
        assert _context(world).metrics.sweep_found.labels("test", "person")._value.get() == 0


async def test_a_subscription_that_went_is_made_again_and_the_gap_is_swept(database: str, tmp_path: Path) -> None:
    """Somebody deletes it in the CRM: what changes until it is back comes with the sweep that its return asks for."""
    async with rig(database, tmp_path / "set", {"person.yaml": PERSON}, TABLES, webhooks=True) as world:
        await world.start()
        (before,) = await world.crm("GET", "/v1/webhooks")
        async with world.http.delete(f"{world.sandbox.url}/v1/webhooks/{before['id']}") as answer:
            assert answer.status == 200
        await world.person(name="Ada")
        _context(world).hearing.doubt.set()
        await world.until(lambda: world.db.fetchval("select exists (select from app.people where name = 'Ada')"))
        assert len(await _urls(world)) == 1


async def test_doubles_of_ours_go_and_those_of_others_stay(database: str, tmp_path: Path) -> None:
    """A second subscription to our address would have every event come twice; other addresses are not our business."""
    async with rig(database, tmp_path / "set", {"person.yaml": PERSON}, TABLES, webhooks=True) as world:
        await world.start()
        (ours,) = await _urls(world)
        theirs = world.sandbox.url + "/elsewhere"
        for url in (ours, theirs):
            body = {"subscription_url": url, "event_action": "*", "event_object": "person", "name": "by hand"}
            await world.crm("POST", "/v1/webhooks", body)
        assert len(await _urls(world)) == 3
        _context(world).hearing.doubt.set()

        async def settled() -> bool:
            return sorted(await _urls(world)) == sorted([ours, theirs])

        await world.until(settled)


async def test_no_room_for_another_subscription(database: str, tmp_path: Path) -> None:
    """The user has as many as the CRM lets him have: said in words, sweeps do the work; with room it is made.

    Fails when the refusal is repeated without a word.
    """
    async with rig(
        database, tmp_path / "set", {"person.yaml": PERSON}, TABLES, connection=AUTO, webhooks=True
    ) as world:
        body = {"event_action": "*", "event_object": "*", "name": "theirs"}
        urls = [f"{world.sandbox.url}/{n}" for n in range(40)]
        taken = [(await world.crm("POST", "/v1/webhooks", {**body, "subscription_url": url}))["id"] for url in urls]
        starting = asyncio.create_task(world.start(fetch_all=False))
        await world.until(lambda: _said(world))
        assert "as many subscriptions as it may have" in (await _trouble(world) or "")
        async with world.http.delete(f"{world.sandbox.url}/v1/webhooks/{taken[0]}") as answer:
            assert answer.status == 200
        _context(world).hearing.doubt.set()
        await starting
        await world.until(lambda: _content(world))
        assert _context(world).pushed


async def _said(world: Rig) -> bool:
    known = await world.db.fetchval("select to_regclass('connector.connection') is not null")
    return bool(known and await _trouble(world))
