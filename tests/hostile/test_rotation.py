"""Webhook passwords take turns: no delivery is lost by it, whoever dies meanwhile, and the old one is good for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pytest

from connector.core.errors import UnavailableError
from connector.engine.context import Context
from connector.engine.hooks import Hooks
from connector.engine.rotation import GRACE, SETTLED, Address, Rotation
from connector.store import passwords
from connector.store.cipher import Cipher
from connector.store.passwords import AGE
from tests.engine.rig import Rig, rig
from tests.hostile.deliveries import body, deliver

TABLES = "create schema app; create table app.people (id bigint generated always as identity primary key, name text);"
PERSON = (
    "object: person\ntable: app.people\nkey: id\ndirection: both\nmatch: [name]\nfields: [{column: name, crm: name}]\n"
)
CIPHER = Cipher("key")
NOTHING = body(entity="user")


@dataclass(slots=True)
class Keeper:
    """Keeps the subscription as the owner does every five minutes, whenever a test says so."""

    world: Rig
    hooks: Hooks

    @classmethod
    def of(cls, world: Rig) -> Keeper:
        """Of an owner that has just begun: what it knew is forgotten."""
        context = _context(world)
        context.subscribed = None
        return cls(world, Hooks(context, address_of(world), Rotation(context, CIPHER)))

    async def check(self) -> None:
        """One check."""
        await self.hooks.ensure(await self.hooks.rotation.turn(address_of(self.world)))
        await self.hooks.rotation.settle()


def _context(world: Rig) -> Context:
    assert world.daemon is not None
    context = world.daemon.running["test"].context
    assert context is not None
    return context


def address_of(world: Rig) -> Address:
    """Where webhooks come in, under the newest password that this process takes."""
    assert world.daemon is not None
    address = world.daemon.running["test"].address
    assert address is not None
    return address


async def subscribed(world: Rig) -> list[str]:
    """The passwords of the subscriptions at the CRM."""
    return [each["http_auth_password"] for each in await world.crm("GET", "/v1/webhooks")]


async def valid(world: Rig) -> list[str]:
    """The passwords under which deliveries are taken, newest first."""
    known = await passwords.valid(world.db, ["test"], world.clock.now())  # type: ignore[arg-type]
    return [each.read(CIPHER, "test") for each in known["test"]]


async def status(world: Rig, password: str) -> int:
    """The answer to a delivery under a password."""
    address = address_of(world)
    return await deliver(world.http, Address(address.url, address.user, password), NOTHING)


@pytest.fixture
async def world(database: str, tmp_path: Path) -> AsyncIterator[Rig]:
    """A daemon whose subscription is in place, when the time of its password has come."""
    async with rig(database, tmp_path / "set", {"person.yaml": PERSON}, TABLES, webhooks=True) as made:
        await made.start()
        await made.db.execute("update connector.webhook_password set made_at = $1, due_at = $2", *_past(made))
        yield made


def _past(world: Rig) -> tuple[object, object]:
    now = world.clock.now()
    return now - AGE, now - timedelta(seconds=1)


async def test_a_password_takes_the_place_of_another(world: Rig) -> None:
    """First it is taken everywhere, then subscribed with; the old one is taken for an hour more, then no longer.

    Subscribed with at once, the deliveries to a replica that does not know it yet were refused.
    """
    keeper, (old,) = Keeper.of(world), await valid(world)
    await keeper.check()
    new, _ = await valid(world)
    assert await subscribed(world) == [old]

    async def taken() -> bool:
        return await status(world, new) == 200

    await world.until(taken)
    assert await status(world, old) == 200
    world.clock.leap(SETTLED.total_seconds())
    await keeper.check()
    assert await subscribed(world) == [new]
    assert await valid(world) == [new, old]
    await world.person(name="Ada")
    await world.until(lambda: world.db.fetchval("select exists (select 1 from app.people where name = 'Ada')"))
    world.clock.leap(GRACE.total_seconds() + 1)

    async def refused() -> bool:
        return await status(world, old) == 401

    await world.until(refused)
    assert await status(world, new) == 200
    await keeper.check()
    assert await world.db.fetchval("select count(*) from connector.webhook_password") == 1


@pytest.mark.parametrize("step", ["made", "subscribing", "subscribed", "unsubscribing"])
async def test_a_death_leaves_what_works(world: Rig, step: str) -> None:
    """Whatever the owner has done of it, every subscription delivers, and the next owner ends with one."""
    keeper = Keeper.of(world)
    await keeper.check()
    world.clock.leap(SETTLED.total_seconds() if step != "made" else 0)
    crm = _context(world).crm
    fails = {"subscribing": "subscribe", "unsubscribing": "unsubscribe"}.get(step)
    if fails is not None:
        with patch.object(crm, fails, side_effect=UnavailableError("dead")), pytest.raises(UnavailableError):
            await keeper.check()
    elif step == "subscribed":
        await keeper.hooks.ensure(await keeper.hooks.rotation.turn(address_of(world)))
    assert set(await subscribed(world)) <= set(await valid(world))
    world.clock.leap(SETTLED.total_seconds())
    heir = Keeper.of(world)
    await heir.check()
    await heir.check()
    newest, _ = await valid(world)
    assert await subscribed(world) == [newest]


async def test_no_third_password_is_made_while_two_are_valid(world: Rig) -> None:
    """However often it is asked for."""
    keeper = Keeper.of(world)
    for _ in range(3):
        await world.db.execute("update connector.webhook_password set due_at = $1", _past(world)[1])
        await keeper.check()
        world.clock.leap(SETTLED.total_seconds())
    assert len(await valid(world)) == 2


async def test_processes_that_begin_at_once_have_one_password(world: Rig) -> None:
    """Each made its own, and the first went on taking what the second had put away."""
    await world.db.execute("delete from connector.webhook_password")
    assert world.daemon is not None
    ways = [running.doorway for running in world.daemon.running.values()] * 4
    database = _context(world).database
    await asyncio.gather(*(way.prepare(database, world.clock.now()) for way in ways))
    assert await valid(world) == [address_of(world).password]
