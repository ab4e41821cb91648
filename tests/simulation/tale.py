"""Tells a story: prepares it, plays its steps, calms everything down, and checks the laws."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random

from tests.simulation.files import Admin
from tests.simulation.laws import check
from tests.simulation.people import People
from tests.simulation.stage import stage
from tests.simulation.steps import play, script
from tests.simulation.story import Story
from tests.simulation.witness import Witness


@dataclass(frozen=True, slots=True)
class Told:
    """A story that ended well: its trace, and how often what happened."""

    trace: Sequence[str]
    counts: Mapping[str, int]
    deeds: Mapping[str, int]
    steps: Mapping[str, int]
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
            await play(story, range(script(seed).length) if steps is None else steps)
            await story.calm()
            await story.quiet()
            await check(story)
        except BaseException as error:
            error.add_note("\n".join(story.trace))
            raise
        finally:
            await story.end()
        return Told(story.trace, await _counts(story), Counter(people.trace), story.happened, await _digest(story))


async def _counts(story: Story) -> Mapping[str, int]:
    tally, db = story.stage.sandbox.deliverer.tally, story.stage.db
    return {
        "deeds of people": len(story.people.trace),
        "steps": sum(story.happened.values()),
        "calls of the CRM": len(story.witness.calls),
        "writes to the CRM": len(story.witness.writes()),
        "writes to rows": await db.fetchval("select count(*) from public.diary where ours"),
        "faults of the API": sum(rule.hits for rule in story.faults),
        "webhooks": tally.delivered,
        "webhooks lost": tally.lost + tally.failed,
        "processes started": story.stage.births,
        "crashes": story.stage.deaths,
        "takeovers": await db.fetchval("select epoch - 1 from connector.lease"),
        "simulated minutes": int(asyncio.get_running_loop().time() / 60),
        "left to a person": story.riddles,
    }


async def _digest(story: Story) -> str:
    """What makes two stories one."""
    rows = await story.stage.db.fetch("select * from connector.journal order by id")
    told = [*(str(dict(row)) for row in rows), str(asyncio.get_running_loop().time())]
    return sha256("\n".join(told).encode()).hexdigest()
