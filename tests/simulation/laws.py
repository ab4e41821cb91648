"""The laws: what must hold after every story, once all is quiet."""

from __future__ import annotations

from typing import Any

from tests.simulation.story import BrokenLawError, Story

TABLES = ("companies", "contacts", "deals", "calls")


async def check(story: Story) -> None:
    """Both sides agree, nothing is double, nobody is needed, and one more pass writes nothing."""
    if await _left_to_a_person(story):
        story.riddles += 1
        return
    people = await story.needs_person()
    _law(not people, f"needs a person: {people}\n{await story.trouble()}")
    differences = await story.people.differences()
    _law(not differences, "\n".join(differences))
    before = await _versions(story)
    story.control("DELETE", "stats")
    await story.quiet()
    stats = story.control("GET", "stats")
    writes = {name: n for name, n in stats["requests"].items() if not name.startswith("GET")}
    _law(not writes, f"one more pass writes to the CRM: {writes}")
    _law(before == await _versions(story), "one more pass writes rows")


async def _left_to_a_person(story: Story) -> bool:
    """True when a create of ours and a record that was edited at once cannot be told apart: a person must."""
    causes = await story.stage.db.fetch("select cause from connector.work where state = 'parked'")
    return bool(causes) and {row["cause"] for row in causes} == {"ambiguous"}


def _law(holds: bool, text: str) -> None:  # noqa: FBT001
    if not holds:
        raise BrokenLawError(text)


async def _versions(story: Story) -> list[Any]:
    return [await story.stage.db.fetch(f"select id, xmin::text from app.{name} order by id") for name in TABLES]
