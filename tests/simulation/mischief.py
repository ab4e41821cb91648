"""What people do in a story, and what goes wrong at a moment."""

from __future__ import annotations

import asyncio
import contextlib
from random import Random

import asyncpg

from connector.store import connections
from tests.simulation.life import EFFECT, MOMENTS
from tests.simulation.stage import tell_time
from tests.simulation.story import SKEWS, Story

FAULTS = (
    {"kind": "status", "code": 500},
    {"kind": "status", "code": 429},
    {"kind": "status", "code": 503, "body": "html"},
    {"kind": "status", "code": 401},
    {"kind": "html_403"},
    {"kind": "timeout_before"},
    {"kind": "timeout_after"},
    {"kind": "applied_late", "seconds": 45},
    {"kind": "applied_late", "seconds": 45, "method": "POST|PATCH|DELETE"},
    {"kind": "disconnect_before"},
    {"kind": "disconnect_after"},
    {"kind": "slow", "seconds": 5},
    {"kind": "slow_after", "seconds": 5},
    {"kind": "stale", "method": "GET"},
)


# --- people ----------------------------------------------------------------------------------------------------------


async def edit(story: Story, dice: Random) -> None:
    """People on either side."""
    story.people.chance = dice
    for _ in range(dice.randint(1, 4)):
        with contextlib.suppress(asyncpg.LockNotAvailableError):
            await story.people.edit()
        story.note(f"  {story.people.trace[-1]}")


async def slow_edit(story: Story, dice: Random) -> None:
    """Somebody's transaction stays open for a while."""
    key = await story.people.key("contacts")
    word, seconds = story.people.word(), dice.choice([0.05, 1.0, 20.0])
    story.open.append(asyncio.create_task(_slowly(story, key, word, seconds)))


async def _slowly(story: Story, key: int | None, word: str | None, seconds: float) -> None:
    with contextlib.suppress(asyncpg.LockNotAvailableError):
        async with story.stage.session() as db:
            await tell_time(db, story.stage.app_skew)
            async with db.transaction():
                await db.execute("update app.contacts set first = $2 where id = $1", key, word)
                await asyncio.sleep(seconds)


async def files(story: Story, dice: Random) -> None:
    """An admin edits the mapping files."""
    setting = story.admin.edit(dice, asyncio.get_running_loop().time())
    story.note(f"  {setting}")


async def fetch_all(story: Story, _: Random) -> None:
    """Somebody asks for everything once more, and does not wait for it."""
    await connections.ask(story.stage.db, "test", "fetch_all", {}, story.now())  # type: ignore[arg-type]


# --- what goes wrong -------------------------------------------------------------------------------------------------


async def fault(story: Story, dice: Random) -> None:
    """The API misbehaves for some calls."""
    rule = {"method": dice.choice([".*", "GET", "POST", "POST|PATCH|DELETE"]), **dice.choice(FAULTS)}
    rule |= {"count": dice.randint(1, 4), "path": "/api/"}
    story.note(f"  {rule}")
    story.control("POST", "faults", rule)
    story.faults.append(story.stage.sandbox.faults.rules[-1])


async def weather(story: Story, dice: Random) -> None:
    """Webhooks get lost, late or double."""
    policy = {
        "duplicate": dice.choice([0, 0.5]),
        "drop": dice.choice([0, 0.3, 1.0]),
        "delay": dice.choice([0, 0.1, 20.0]),
        "reorder": dice.choice([0, 0.3, 10.0]),
        "before_response": dice.choice([True, False]),
    }
    story.note(f"  {policy}")
    story.control("POST", "webhooks", policy)


async def doom(story: Story, dice: Random) -> None:
    """The owner dies at some effect from now, or next to one of its next commits or writes."""
    for process in story.stage.processes.values():
        life = process.life
        life.moment = dice.choice((EFFECT, *MOMENTS))
        life.left = dice.randint(1, 60 if life.moment == EFFECT else 12)
        story.note(f"  {life.name}: {life.moment}, in {life.left}")


async def bury(story: Story, dice: Random) -> None:
    """Whoever is dead, or dies now, is followed by another."""
    await story.stage.kill("a")
    story.stage.start("a", left=dice.choice([None, None, dice.randint(1, 200)]))


async def relief(story: Story, dice: Random) -> None:
    """A second process waits for its turn, or takes over from the first."""
    name = dice.choice("ab")
    if name in story.stage.processes:
        await story.stage.kill(name)
    else:
        story.stage.start(name)


async def clocks(story: Story, dice: Random) -> None:
    """The clocks of the daemons and of the database jump."""
    skews = dice.choice(SKEWS), dice.choice(SKEWS)
    story.note(f"  daemon {skews[0]:+} s, database {skews[1]:+} s")
    story.stage.set_clocks(*skews)
    await story.stage.tell_time()


async def interrupt(story: Story, _: Random) -> None:
    """The database drops everybody."""
    await story.stage.interrupt()


async def sweep(story: Story, dice: Random) -> None:
    """A sweep is asked for."""
    kind = dice.choice(["recent", "full"])
    await story.stage.db.execute("update connector.sweep set due_at = $2 where kind = $1", kind, story.now())
