"""Rule 9 for notes and activities, which carry no key: creates in doubt are told by counting what looks like them.

The accidents: a note twice, a note of somebody else taken for ours.
"""

from pathlib import Path

import pytest

from tests.engine.accidents.doubt import (
    ACTIVITY,
    ALIKE,
    COMMENTS,
    MINUTE,
    NOTE,
    PATHS,
    die_in_doubt,
    fault_many,
    living,
)
from tests.engine.accidents.people import links, stopped
from tests.engine.accidents.wire import wired
from tests.engine.rig import Rig, rig

FILES = {"note": NOTE, "activity": ACTIVITY}
HELLO = {"content": "hello", "deal_id": 1}


@pytest.mark.parametrize("name", ["note", "activity"])
@pytest.mark.parametrize("applied", [0, 1, 3])
async def test_death_with_three_creates_alike(database: str, tmp_path: Path, name: str, applied: int) -> None:
    """Of three alike creates some were applied: three records in the end, each of its own row.

    Fails when nothing is told by fingerprint: what was applied is sent again.
    """
    async with wired(database) as wire, rig(database, tmp_path / "set", FILES[name], COMMENTS) as world:
        world.dsn = wire.dsn
        await _begin(world)
        kinds = ["timeout_after"] * applied + ["timeout_before"] * (3 - applied)
        await fault_many(world, *kinds, method="POST", path=PATHS[name])
        await world.db.execute(ALIKE[name], 3)
        await die_in_doubt(world, wire)
        world.clock.leap(MINUTE)
        await world.idle()
        await world.quiet()
        assert len(await living(world, name)) == 3
        assert sorted(crm_id or "" for _, crm_id, _ in await links(world)) == ["1", "2", "3"]


async def test_alike_creates_that_were_sent_one_after_the_other(database: str, tmp_path: Path) -> None:
    """The first is joined when its minute is over although the second still waits for its own.

    Fails when only creates whose minute is over are counted: two hits for one of them look like a riddle.
    """
    async with rig(database, tmp_path / "set", NOTE, COMMENTS) as world:
        await _begin(world)
        await fault_many(world, "disconnect_after", method="POST", path="notes$")
        await world.db.execute(ALIKE["note"], 1)
        await stopped(world, ("waiting", "unknown_outcome"))
        world.clock.leap(30)
        await fault_many(world, "disconnect_after", method="POST", path="notes$")
        await world.db.execute(ALIKE["note"], 1)
        await stopped(world, ("waiting", "unknown_outcome"), ("waiting", "unknown_outcome"))
        world.clock.leap(31)
        await stopped(world, ("waiting", "unknown_outcome"))
        world.clock.leap(30)
        await world.quiet()
        assert len(await living(world, "note")) == 2
        assert sorted(crm_id or "" for _, crm_id, _ in await links(world)) == ["1", "2"]


async def test_more_alike_records_than_creates(database: str, tmp_path: Path) -> None:
    """Nobody can tell which one is ours: a person must.

    Fails when one of them is taken by guess.
    """
    async with rig(database, tmp_path / "set", NOTE, COMMENTS) as world:
        await _begin(world)
        await fault_many(world, "disconnect_after", method="POST", path="notes$")
        await world.db.execute(ALIKE["note"], 1)
        await stopped(world, ("waiting", "unknown_outcome"))
        await world.crm("POST", "/v1/notes", HELLO)
        world.clock.leap(MINUTE)
        await stopped(world, ("parked", "ambiguous"))
        assert len(await living(world, "note")) == 2


async def test_an_older_record_that_looks_alike(database: str, tmp_path: Path) -> None:
    """A note that was there before we sent ours is not ours, though somebody has just touched it.

    Fails when records count that were made before the create was sent: ours is lost.
    """
    async with rig(database, tmp_path / "set", NOTE, COMMENTS) as world:
        await world.crm("POST", "/api/v2/deals", {"title": "One"})
        await world.crm("POST", "/v1/notes", HELLO)
        world.clock.leap(3000)
        await world.start()
        await fault_many(world, "disconnect_before", method="POST", path="notes$")
        await world.db.execute(ALIKE["note"], 1)
        await stopped(world, ("waiting", "unknown_outcome"))
        await world.crm("PUT", "/v1/notes/1", {"pinned_to_deal_flag": 1})
        world.clock.leap(MINUTE)
        await world.quiet()
        assert len(await living(world, "note")) == 2
        assert [crm_id for _, crm_id, _ in await links(world)] == ["2"]


@pytest.mark.parametrize("offset", [-40, 40])
async def test_the_clock_of_the_crm_is_set(database: str, tmp_path: Path, offset: int) -> None:
    """A note is ours although it seems to be older than its sending, for the CRM's clock was set meanwhile.

    Fails when the times of both sides are compared by what was known of the clocks long ago: it is made again.
    """
    async with rig(database, tmp_path / "set", NOTE, COMMENTS) as world:
        await _begin(world)
        await world.control("POST", "clock", {"offset": offset})
        await fault_many(world, "disconnect_after", method="POST", path="notes$")
        await world.db.execute(ALIKE["note"], 1)
        await stopped(world, ("waiting", "unknown_outcome"))
        world.clock.leap(MINUTE)
        await world.idle()
        assert len(await living(world, "note")) == 1
        assert [crm_id for _, crm_id, _ in await links(world)] == ["1"]


async def test_death_after_the_change_that_followed_the_doubt(database: str, tmp_path: Path) -> None:
    """A call is found again although its row has changed, the change was sent, and the daemon died then: there is one.

    Fails when a create is found and its record changed before it is on record which one it is: what the next owner looks
    for, the record as it was made, is nowhere to be seen, and it is made again.
    """
    async with wired(database) as wire, rig(database, tmp_path / "set", ACTIVITY, COMMENTS) as world:
        world.dsn = wire.dsn
        await _begin(world)
        await fault_many(world, "disconnect_after", method="POST", path="activities$")
        await world.db.execute(ALIKE["activity"], 1)
        await stopped(world, ("waiting", "unknown_outcome"))
        await world.db.execute("update app.calls set subject = 'goodbye'")
        await stopped(world, ("waiting", "unknown_outcome"))
        await fault_many(world, "timeout_after", method="PATCH", path="activities")
        world.clock.leap(MINUTE)
        await die_in_doubt(world, wire)
        world.clock.leap(MINUTE)
        await world.idle()
        await world.quiet()
        assert [call["subject"] for call in await living(world, "activity")] == ["goodbye"]
        assert [crm_id for _, crm_id, _ in await links(world)] == ["1"]


async def _begin(world: Rig) -> None:
    await world.crm("POST", "/api/v2/deals", {"title": "One"})
    await world.start()
