"""What must not grow for ever, and what a forgotten transaction must not slow down."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import asyncpg
from hypothesis import given
from hypothesis import strategies as st

from connector.engine.housekeeper import KEPT, Housekeeper
from connector.engine.low_water import LAG, WHOLE, LowWater
from tests.engine.accidents.people import TABLES, people
from tests.engine.rig import Rig, rig

NEXT = "select exists (select from pg_class where relname = to_char($1::timestamptz at time zone 'UTC', '\"journal_\"YYYY_MM'))"


@given(st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(1, 50)), min_size=1, max_size=60))
def test_the_mark_stays_behind(steps: list[tuple[float, int]]) -> None:
    """A number is passed over only when it was consumed so long ago; and once in a while nothing is passed over.

    Fails when the mark follows what was consumed at once: who commits late would never be found again.
    """
    low, moment, highest, whole_at = LowWater(), 0.0, 0, 0.0
    consumed: list[tuple[float, int]] = []
    for pause, numbers in steps:
        moment += pause
        bottom = low.bottom(moment)
        whole_at = moment if bottom == 0 else whole_at
        assert moment - whole_at < WHOLE + pause
        assert bottom <= max((number for at, number in consumed if at <= moment - LAG), default=0)
        highest += numbers
        low.consumed(highest)
        consumed.append((moment, highest))


async def test_a_note_that_commits_late_is_found(database: str, tmp_path: Path) -> None:
    """A transaction that wrote long before the others commits after them: its change goes to the CRM.

    Fails when looks never begin at the bottom again.
    """
    async with rig(database, tmp_path / "set", people(match=""), TABLES) as world:
        await world.start()
        late = await asyncpg.connect(database)
        try:
            transaction = late.transaction()
            await transaction.start()
            await late.execute("insert into app.people (first, last) values ('Late', 'Q')")
            for n in range(3):
                await world.db.execute("insert into app.people (first, last) values ($1, 'Q')", f"Early{n}")
                await world.until(lambda: _carried(world, f"Early{n} Q"))  # noqa: B023
                world.clock.leap(2 * LAG)
            await transaction.commit()
        finally:
            await late.close()
        await world.until(lambda: _carried(world, "Late Q"))


async def test_months_and_old_requests(database: str, tmp_path: Path) -> None:
    """The journal of a daemon that runs for months has its next partition each time; requests are forgotten after a week.

    Fails when partitions are made at a start only, or when a month whose rows are in the default partition is an error.
    """
    async with rig(database, tmp_path / "set", people(), TABLES) as world:
        await world.start()
        assert world.daemon is not None
        context = world.daemon.running["test"].context
        assert context is not None
        world.clock.leap(timedelta(days=100).total_seconds())
        await world.db.execute(
            """insert into connector.journal (connection, at, object, side, action, cause, reason)
               values ('test', $1, 'person', 'app', 'update', 'live', 'x')""",
            world.clock.now(),
        )
        await Housekeeper(context).once()
        assert not await world.db.fetchval(NEXT, world.clock.now())
        assert await world.db.fetchval(NEXT, world.clock.now() + timedelta(days=31))
        old = "select count(*) from connector.request where finished_at < $1"
        assert await world.db.fetchval(old, world.clock.now() - KEPT) == 0


async def _carried(world: Rig, name: str) -> bool:
    return any(record["name"] == name for record in world.sandbox.world.tables["person"].live())
