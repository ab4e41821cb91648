"""Which planned writes would go on with an oscillation: asked of the journal, only about writes that look like it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connector.core.model import LinkId
from connector.core.oscillation import WITHIN, oscillates, suspects
from connector.core.plan import Plan, Step
from connector.engine.context import Context
from connector.engine.observe.case import Case
from connector.store import journal


async def find_oscillations(context: Context, planned: Sequence[tuple[Case, Plan]]) -> Mapping[LinkId, frozenset[str]]:
    """By link: the lines of which one more write would be one too many. One query, and none where nothing looks like it."""
    known = [(case, found) for case, found in planned if found.step is Step.APPLY and case.link.base]
    looks_like = {case.link.id: (case, suspects(case.link, found.decisions)) for case, found in known}
    doubtful = {link: one for link, one in looks_like.items() if one[1]}
    if not doubtful:
        return {}
    rows = [(str(case.link.mapping), str(case.link.app_key)) for case, _ in doubtful.values()]
    async with context.database.session() as db:
        past = await journal.writes(db, context.name, rows, context.clock.now() - WITHIN)
    found = {
        link: frozenset(d.line.name for d in decisions if oscillates(d, past.get((link, d.line.name), ())))
        for link, (_, decisions) in doubtful.items()
    }
    return {link: lines for link, lines in found.items() if lines}
