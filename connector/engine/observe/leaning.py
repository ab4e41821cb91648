"""Leaning: rows that refer to one which is to go with its record. In the CRM they may refer to another record by now.

That is so after a merge, whether its events have told of it or not. With the row PostgreSQL would empty or delete them,
and what it did would be the app's later edit: they are looked at first.
"""

from __future__ import annotations

from collections.abc import Sequence

from connector.core.mapping import DeletePolicy
from connector.core.model import Gone, Lane, LinkId, LinkState, Record
from connector.core.plan import LEANT_ON
from connector.engine.context import Context
from connector.engine.observe.case import TAKEN, Case
from connector.engine.observe.referring import lines_towards, referring
from connector.store import work
from connector.store.db import Connection

LOOKS = 5
"""So often a row that is to go waits for those that refer to it."""


async def find_leaning(context: Context, db: Connection, cases: Sequence[Case]) -> None:
    """Tells each case whose row may go of the links of those that refer to it.

    Of a known merge until they follow; else until they were looked at, or have had their time. Once parked for them,
    until a person says go on.
    """
    going = [case for case in cases if _may_go(case)]
    for name in sorted({case.mapping.name for case in going if case.mapping is not None}):
        group = {case.link.app_key: case for case in going if case.mapping and case.mapping.name == name}
        lines = [(child, line) for child, line in lines_towards(context, name) if line.direction.receives]
        found = await referring(context, db, lines, [key for key in group if key is not None])
        open_ = await work.unsettled(db, [link for _, link in found]) if found else frozenset[LinkId]()
        for key, link in found:
            case = group[key]
            tries = case.item.tries(LEANT_ON)
            if case.crm == TAKEN or tries == 0 or (tries < LOOKS and link in open_):
                case.leaning = [*case.leaning, link]


def _may_go(case: Case) -> bool:
    mapping, item = case.mapping, case.item
    if mapping is None or mapping.deletes.receive is not DeletePolicy.DELETE or not mapping.direction.receives:
        return False
    gone = isinstance(case.crm, Gone) or (item.evidence and not isinstance(case.crm, Record))
    asked = item.cause == LEANT_ON and item.lane is Lane.MANUAL
    return gone and case.row is not None and case.link.state is LinkState.LINKED and not asked
