"""The laws: what must hold after every story, once all is quiet."""

from __future__ import annotations

from random import Random
from typing import Any

from connector.engine import guard
from tests.simulation.evidence import gather
from tests.simulation.files import EXTRAS, Setting
from tests.simulation.story import BrokenLawError, Story

OF_A_SWEEP = frozenset(
    {f"GET /api/v2/{path}" for path in ("persons", "organizations", "deals", "deals/archived", "activities")}
    | {"GET /v1/webhooks", "GET /v1/users/me"}
)
OF_PERSONS = "/api/v2/personFields"
HOURLY = frozenset(
    {f"GET {OF_PERSONS}"}
    | {f"GET /api/v2/{path}" for path in ("organizationFields", "dealFields", "activityFields", "pipelines", "stages")}
    | {"GET /v1/users", "GET /v1/activityTypes"}
)
"""What is read once an hour besides, whatever is swept."""
EDITS = 8
"""How many edits in peace."""
SLOW = {"kind": "slow", "path": "/api/", "seconds": 0.7, "count": 10_000}
"""Answers take so long that people edit what is just being written."""
UNHEARD = {"patch_unheard", "merge", "truncate_deals"}
"""Deeds of which nobody tells, or not of all that they do: a sweep finds the rest."""
PATHS = {"person": ("contacts", "persons"), "deal": ("deals", "deals")}
PARTED = """
select l.object, l.app_key, l.crm_id from connector.link l
where l.object in ('person', 'deal') and l.state = 'unlinked'
  and exists (select from connector.journal j where j.link_id = l.id and j.action = 'frozen')
order by l.id
"""
TABLES = ("companies", "contacts", "deals", "calls")


async def check(story: Story) -> None:
    """Both sides agree, one more pass writes nothing, and what is edited then agrees without a sweep."""
    if await _left_to_a_person(story):
        story.riddles += 1
        return
    await _agreement(story)
    await _pass(story)
    if not story.unheard():
        await _edits_in_peace(story)
        await _agreement(story)


async def _agreement(story: Story) -> None:
    """Nobody is needed, nothing is double, both sides say the same, and nothing was done that may not be."""
    await _part(story)
    people = await story.needs_person()
    _law(not people, f"needs a person: {people}\n{await story.trouble()}")
    differences = [*await story.people.differences(), *await _extras(story)]
    _law(not differences, "\n".join(differences))
    broken = list((await gather(story)).broken())
    _law(not broken, "\n".join(broken))


async def _part(story: Story) -> None:
    """A pair that a filter kept out when one half was deleted stays apart: people strike off what is left of it."""
    db, world = story.stage.db, story.stage.sandbox.world
    for name, key, crm_id in await db.fetch(PARTED) if story.admin.ever_narrow else ():
        table, path = PATHS[name]
        await db.execute(f"delete from app.{table} where id = $1", int(key))
        if world.has(name, int(crm_id)):
            await story.people.crm("DELETE", f"{path}/{crm_id}")
    await story.settled()


async def _pass(story: Story) -> None:
    """Sweeps over agreement write nothing, and cost what listing costs."""
    before, calls = await _versions(story), len(story.witness.calls)
    story.control("DELETE", "stats")
    await story.quiet()
    stats = story.control("GET", "stats")
    writes = {name: n for name, n in stats["requests"].items() if not name.startswith("GET")}
    _law(not writes, f"one more pass writes to the CRM: {writes}")
    allowed = OF_A_SWEEP | (HOURLY if _hour_old(story, calls) else frozenset())
    others = {name: n for name, n in stats["requests"].items() if name not in allowed or (name in HOURLY and n > 1)}
    _law(not others, f"a sweep over agreement spends more than its own tokens: {others}")
    _law(before == await _versions(story), "one more pass writes rows")


def _hour_old(story: Story, calls: int) -> bool:
    """True when definitions were an hour old as the pass of these calls read them: they are read once an hour."""
    read = [c.at for c in story.witness.calls if c.path == OF_PERSONS]
    in_pass = [c.at for c in story.witness.calls[calls:] if c.path == OF_PERSONS]
    return bool(in_pass) and in_pass[0] - max((at for at in read if at < in_pass[0]), default=0.0) >= guard.DEFINITIONS


async def _edits_in_peace(story: Story) -> None:
    """Some more edits in calm weather, while answers are slow; every one of them is heard of."""
    story.note("peace")
    story.control("POST", "faults", SLOW)
    for number in range(EDITS):
        story.people.chance = Random(f"{story.seed}/peace/{number}")
        await story.stage.pass_time(story.people.chance.choice((0.0, 0.01, 0.3)))
        await story.people.edit(UNHEARD)
        story.note(f"  {story.people.trace[-1]}")
    await story.people.tidy_up()
    await story.settled()
    story.control("DELETE", "faults")


async def _extras(story: Story) -> list[str]:
    """The lines of companies that admins turn: what one side owns, or both, is the same on both."""
    rows = await story.stage.db.fetch("select * from app.companies where archived_at is null order by id")
    records = {record["id"]: record for record in story.people.live("organization")}
    own = Setting().extras
    found = []
    for row in rows:
        record = records.get(row["crm_id"], {})
        for column, key in EXTRAS.items():
            sides = row[column], record.get(key)
            source = sides[own[column] == "receive"]
            kept = source is None and own[column] != "both"
            if own[column] != "none" and not (kept or story.admin.set_aside(column)) and sides[0] != sides[1]:
                found.append(f"company {row['id']} {column}: app {sides[0]!r} CRM {sides[1]!r}")
    return found


async def _left_to_a_person(story: Story) -> bool:
    """True when a create of ours and a record that was edited at once cannot be told apart: a person must."""
    causes = await story.stage.db.fetch("select cause from connector.work where state = 'parked'")
    return bool(causes) and {row["cause"] for row in causes} == {"ambiguous"}


def _law(holds: bool, text: str) -> None:  # noqa: FBT001
    if not holds:
        raise BrokenLawError(text)


async def _versions(story: Story) -> list[Any]:
    return [await story.stage.db.fetch(f"select id, xmin::text from app.{name} order by id") for name in TABLES]
