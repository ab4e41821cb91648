"""Spells: what goes wrong for a while, and ends by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from random import Random
from typing import Any, TypeVar

import asyncpg

from connector.sandbox.faults import Kind, Rule
from tests.simulation.mischief import sweep
from tests.simulation.stage import EPOCH
from tests.simulation.story import Story

T = TypeVar("T")
SECONDS = (5.0, 60.0, 400.0)
STANDSTILLS = (1.0, 7.0, 12.0, 30.0, 120.0)
OFTEN = 0.8


async def _last(story: Story, dice: Random, spell: Callable[[Story, Random], Iterator[None]]) -> None:
    """Begins a spell and lets it end after a while."""
    seconds = dice.choice(SECONDS)
    story.note(f"  for {seconds} s")
    casting = contextlib.contextmanager(spell)(story, dice)
    casting.__enter__()

    async def end() -> None:
        await asyncio.sleep(seconds)
        casting.__exit__(None, None, None)

    story.open.append(asyncio.create_task(end()))


def _spell(spell: Callable[[Story, Random], Iterator[None]]) -> Callable[[Story, Random], Awaitable[None]]:
    async def step(story: Story, dice: Random) -> None:
        await _last(story, dice, spell)

    return step


def _revoked(story: Story, _: Random) -> Iterator[None]:
    """The token is no good: 401."""
    story.control("POST", "settings", {"revoked": [story.stage.sandbox.token]})
    yield
    story.control("POST", "settings", {"revoked": []})


def _unpaid(story: Story, _: Random) -> Iterator[None]:
    """The account is not paid: 402."""
    story.control("POST", "settings", {"expired": True})
    yield
    story.control("POST", "settings", {"expired": False})


def _fended_off(story: Story, _: Random) -> Iterator[None]:
    """The CRM's guard answers everything with a page of its own: 403."""
    rules = story.stage.sandbox.faults.rules
    rule = Rule(Kind.HTML_403, path="/api/")
    rules.append(rule)
    story.faults.append(rule)
    yield
    if rule in rules:
        rules.remove(rule)


async def hidden(story: Story, dice: Random) -> None:
    """The user may not see some records any more, of those that have a row.

    Whether a create that was never answered made a record that nobody may see, nobody can tell.
    """
    pairs = []
    for name, table in (("person", "contacts"), ("deal", "deals")):
        rows = await story.stage.db.fetch(f"select crm_id from app.{table} where crm_id is not null order by id")
        pairs += [[name, row["crm_id"]] for row in rows]
    some = dice.sample(pairs, len(pairs) // 3)

    def spell(_story: Story, _dice: Random) -> Iterator[None]:
        story.control("POST", "visibility", {"records": some})
        yield
        story.control("POST", "visibility", {"records": some, "hidden": False})

    await _last(story, dice, spell)
    await _touch(story, some)
    await sweep(story, dice)


async def _touch(story: Story, records: Sequence[Sequence[Any]]) -> None:
    """Somebody edits the rows of records that cannot be seen, and gives up where somebody else is at it."""
    await story.stage.tell_time()
    ids = [crm_id for name, crm_id in records if name == "person"]
    sql = "update app.contacts set phone = $2 where crm_id = any($1::bigint[])"
    with contextlib.suppress(asyncpg.LockNotAvailableError):
        await story.stage.db.execute(sql, ids, story.people.phone())


async def spent(story: Story, dice: Random) -> None:
    """The day's budget goes to its end; the next day has one again."""
    limits = story.stage.sandbox.api.limits
    limits.daily = limits.spent + dice.choice((0, 50, 400))
    story.note(f"  {limits.daily - limits.spent} tokens are left")

    async def renew() -> None:
        now = story.stage.clock.now() + timedelta(seconds=1)
        midnight = (EPOCH + timedelta(days=1)).replace(hour=0, minute=0)
        await asyncio.sleep(max((midnight - now).total_seconds(), 0.0) + 2)
        limits.daily = None

    story.open.append(asyncio.create_task(renew()))


async def stopped(story: Story, dice: Random) -> None:
    """A process stands still, as a suspended machine does; another may take over, and then it wakes and goes on."""
    stage = story.stage
    if not stage.processes:
        return
    name = dice.choice(sorted(stage.processes))
    process, seconds = stage.processes[name], dice.choice(STANDSTILLS)
    other = "b" if name == "a" else "a"
    if other not in stage.processes and dice.random() < OFTEN:
        stage.start(other)
    story.note(f"  {process.life.name} for {seconds} s")
    await stage.stop(process)

    async def wake() -> None:
        await asyncio.sleep(seconds)
        story.woken.append(asyncio.get_running_loop().time())
        stage.wake(process)

    story.open.append(asyncio.create_task(wake()))


async def banned(story: Story, dice: Random) -> None:
    """The CRM stops delivering for half an hour, or drops the subscription for good."""
    deliverer, world = story.stage.sandbox.deliverer, story.stage.sandbox.world
    for webhook in list(world.subscriptions.values()):
        if dice.random() < 0.5:
            deliverer.standing(webhook).banned_until = story.stage.clock.now() + timedelta(minutes=30)
            story.note(f"  {webhook.id} is banned")
        else:
            story.stage.sandbox.api.company.do(story.stage.sandbox.api.company.admin(), "webhook.remove", webhook.id)
            story.note(f"  {webhook.id} is removed")


revoked, unpaid, fended_off = map(_spell, (_revoked, _unpaid, _fended_off))
