"""Tells a story: prepares it, plays its steps, calms everything down, and checks the laws."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random

from tests.simulation.files import Admin
from tests.simulation.laws import check
from tests.simulation.people import People
from tests.simulation.stage import stage
from tests.simulation.steps import play
from tests.simulation.story import Story
from tests.simulation.witness import Witness

STEPS = 30


@dataclass(frozen=True, slots=True)
class Told:
    """A story that ended well: its trace, and how often what happened."""

    trace: Sequence[str]
    counts: Mapping[str, int]
    digest: str
    """Of everything in the journal, and of the time at the end: equal for equal stories."""


async def tell(dsn: str, directory: Path, seed: int, steps: Sequence[int] | None = None) -> Told:
    """Plays the story of a seed and checks the laws. An error carries the trace as a note."""
    async with stage(dsn, directory, seed) as set_:
        people = People(set_.db, set_.sandbox, Random(seed), tell_time=set_.tell_time)
        witness = Witness(set_.sandbox, asyncio.get_running_loop().time)
        witness.stand()
        story = Story(set_, people, witness, Admin(directory), seed)
        try:
            await story.prepare()
            await play(story, range(STEPS) if steps is None else steps)
            await story.calm()
            await story.quiet()
            await check(story)
        except BaseException as error:
            error.add_note("\n".join(story.trace))
            raise
        counts = {"edits": len(people.trace), "incarnations": set_.births, "faults": sum(r.hits for r in story.faults)}
        counts["left to a person"] = story.riddles
        return Told(story.trace, counts, await _digest(story))


async def _digest(story: Story) -> str:
    """What makes two stories one."""
    rows = await story.stage.db.fetch("select * from connector.journal order by id")
    told = [*(str(dict(row)) for row in rows), str(asyncio.get_running_loop().time())]
    return sha256("\n".join(told).encode()).hexdigest()
