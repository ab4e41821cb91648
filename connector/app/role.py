"""What people are told of a connection's database: which one it is, why nothing is sent, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from connector.core.identity import Doubt, Role
from connector.store.roles import Stand

CHOOSE: Final = "restored or moved: connector database original · a copy, such as staging: connector database copy"
WHY: Final = {
    Doubt.MOVED: "this is another database than the one that worked last: it was moved, upgraded, read in again, or copied",
    Doubt.BEHIND: (
        "the CRM has records of ours that this database does not know: it was restored from an older backup, or is a copy,"
        " or another installation uses the same identity_field"
    ),
    Doubt.WENT_BACK: "the database has forgotten what was written a moment ago: it was restored while the daemon ran",
}
STATES: Final = {
    Role.COPY: "a copy: it receives, and sends nothing",
    Role.RETURNING: "the original again: sends go on once everything is listed and paired again",
}


@dataclass(frozen=True, slots=True)
class Words:
    """Why nothing is sent, and what to do; both empty where the database sends as ever."""

    why: str
    advice: str


def words_of(stand: Stand) -> Words:
    """What a person needs to know of where a connection stands."""
    if stand.role is Role.IN_DOUBT:
        return Words(f"sends are refused: {WHY[stand.doubt or Doubt.MOVED]}", CHOOSE)
    advice = "the original after all: connector database original" if stand.role is Role.COPY else ""
    return Words(STATES.get(stand.role, ""), advice)
