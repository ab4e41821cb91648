"""Rule 9, riddles: a create whose record nobody can tell is left to a person, and so is whatever may be that record.

The accidents: `wait` that never ends, a queue that looks at the same records every two seconds for weeks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from connector.store import report
from tests.engine.accidents.doubt import ALIKE, COMMENTS, MINUTE, NOTE, PATHS, fault_many, living
from tests.engine.accidents.people import links, stopped
from tests.engine.rig import Rig, rig

BOTH: Final = {"people.yaml": NOTE["people.yaml"].replace("direction: send", "direction: both")}
HELLO: Final = {"content": "hello", "deal_id": 1}


@pytest.mark.parametrize("files", [NOTE, BOTH], ids=["send", "both"])
async def test_nobody_waits_for_what_a_person_must_tell(database: str, tmp_path: Path, files: dict[str, str]) -> None:
    """The create and the records that may be its own need a person; `wait` tells so and is done."""
    async with rig(database, tmp_path / "set", files, COMMENTS) as world:
        waiting = await _riddle(world, halves=2 if files is BOTH else 0)
        await world.idle()
        told = await report.needs_person(world.db, report.Now("test", world.clock.now()))  # type: ignore[arg-type]
        assert (told["parked"], told["waiting"]) == (1, waiting)
        assert len(await living(world, "note")) == 2


async def test_what_may_be_ours_is_called_when_the_riddle_is_solved(database: str, tmp_path: Path) -> None:
    """The halves name what they wait for and rest until then; discarded, the two notes are somebody's own: rows."""
    async with rig(database, tmp_path / "set", BOTH, COMMENTS) as world:
        await _riddle(world, halves=2)
        await _rest(world)
        await world.ask("discard", {"cause": "ambiguous"})
        await world.idle()
        assert sorted(crm_id or "" for _, crm_id, state in await links(world) if state == "linked") == ["1", "2"]
        assert await world.db.fetchval("select count(*) from app.comments") == 3


async def test_what_may_be_ours_is_called_when_the_row_goes(database: str, tmp_path: Path) -> None:
    """The notes are looked at by a person, who deletes one, and the row: the other is a row of its own then."""
    async with rig(database, tmp_path / "set", BOTH, COMMENTS) as world:
        await _riddle(world, halves=2)
        await _rest(world)
        await world.crm("DELETE", "/v1/notes/2")
        await world.db.execute("delete from app.comments")
        await world.quiet()
        assert len(await living(world, "note")) == 1


async def _riddle(world: Rig, *, halves: int) -> int:
    """A note of ours whose sending is in doubt, and two in the CRM that look like it; how many halves wait for that."""
    await world.crm("POST", "/api/v2/deals", {"title": "One"})
    await world.start()
    await fault_many(world, "disconnect_after", method="POST", path=PATHS["note"])
    await world.db.execute(ALIKE["note"], 1)
    await stopped(world, ("waiting", "unknown_outcome"))
    await world.crm("POST", "/v1/notes", HELLO)
    world.clock.leap(MINUTE)
    await world.ask("sweep", {"kind": "recent"})
    await stopped(world, ("parked", "ambiguous"), *[("waiting", "open_intents")] * halves)
    return halves


async def _rest(world: Rig) -> None:
    """Every half waits for the link in doubt; weeks pass, in which none comes back by itself."""
    rows = await world.db.fetch(
        """select p.app_key from connector.work w left join connector.link p on p.id = w.waiting_for
           where w.state = 'waiting'"""
    )
    assert [row["app_key"] for row in rows] == ["1", "1"]
    await world.db.execute("update connector.work set due_at = 'infinity' where state = 'waiting'")
