"""What to do about one record: pure, total, and explaining itself.

A `Situation` is everything that was observed; a `Plan` is data. The worker, `sync`, `explain` and a dry run use the same
`plan()`. It never looks anything up: what it would need to know next, it asks for as its `step`.

Reading order: `situation` and `actions`, what goes in and what comes out; `plan()` below; then `halves` while one side is
known, `pairs` when both are, `tombstones` once a pair has died. Beside them: `filters` says who may pass, `lines` what is
decided about each line, `constants` what `set` writes.
"""

from __future__ import annotations

from connector.core.mapping import Direction
from connector.core.plan.actions import (
    CreateRecord,
    DeleteRecord,
    DeleteRow,
    Effect,
    InsertRow,
    Plan,
    Step,
    UpdateRecord,
    UpdateRow,
    excluded,
    park,
)
from connector.core.plan.halves import app_half, crm_half
from connector.core.plan.pairs import LEANT_ON, MERGE_UNSENT, pair, released, unsent
from connector.core.plan.situation import Candidate, Kin, Readiness, Situation
from connector.core.plan.tombstones import tombstone

__all__ = [
    "LEANT_ON",
    "MERGE_UNSENT",
    "Candidate",
    "CreateRecord",
    "DeleteRecord",
    "DeleteRow",
    "Effect",
    "InsertRow",
    "Kin",
    "Plan",
    "Readiness",
    "Situation",
    "Step",
    "UpdateRecord",
    "UpdateRow",
    "park",
    "plan",
    "unsent",
]


def plan(s: Situation) -> Plan:
    """The plan for what was observed."""
    if s.mapping.direction is Direction.NONE:
        return excluded("direction") if s.link.half else Plan(Step.DONE, "direction", s.link.state)
    if s.link.released:
        return released(s)
    if s.link.state.tombstone:
        return tombstone(s)
    if s.link.app_key is None:
        return crm_half(s)
    if s.link.crm_id is None:
        return app_half(s)
    return pair(s)
