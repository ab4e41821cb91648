"""Advice: what a person can do about whatever does not flow, by the codes that states carry. Texts only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from connector.core.merge import OSCILLATION, REVIEW

_RETRY: Final = "then: connector failures retry"
_PARKED: Final[Mapping[str, str]] = {
    "ambiguous": f"several fit equally: merge them or make their match keys differ, {_RETRY}",
    "duplicate": "another pair has that match key: change it on one side, or keep this one apart: connector failures discard",
    "missing": "the CRM does not show it: give the token's user sight of it, or accept: connector failures discard",
    "merge_unsent": f"two rows stand for one record: take the edits of this one over, {_RETRY}; or: connector failures discard",
    "leant_on": f"rows refer to this one, which goes with its merged record: point them elsewhere, {_RETRY}",
    "archived": f"an archived record cannot be changed: take it out of the archive, {_RETRY}; or: connector failures discard",
    "parent_gone": f"what it must refer to was deleted: give it another parent, {_RETRY}",
    "refused": f"the CRM refused the whole record: look at its values, {_RETRY}",
    "row_refused": f"the table refused the row: mend the value, the constraint or the right, {_RETRY}",
    "forbidden": f"the token's user may not do that in the CRM: give the right, {_RETRY}",
    "defect": f"a defect of the connector: please report it with the daemon's log; {_RETRY}",
}
_HELD: Final[Mapping[str, str]] = {
    "unmapped_value": "name the value under values: of the line, or change it",
    "unknown_option": "make the option again in the CRM (the same name is enough), name it under values:, or change the value",
    "not_in_enum": "add the label to the column's enum type, or map it under values:",
    "unknown_user": "no user of the CRM has that e-mail: invite the user, or change the value",
    "inactive_user": "activate the user in the CRM, or change the value",
    "too_long": "shorten it, or set too_long: cut",
    "refused": "the CRM refused the value: correct it; it is sent again when it changes",
    "refused_by_column": "the column takes no such value: correct it, or alter the column",
    "parent_unavailable": "what it refers to cannot come: see what blocks that record with connector explain",
    "parent_gone": "what it refers to was deleted: choose another, or restore it",
    REVIEW: "say whose value stays: connector conflicts list, connector conflicts resolve",
    OSCILLATION: f"two writers undo each other through this line: stop or change one of them, {_RETRY}",
    "template_failed": "mend the template for values like these",
}
_WAITING: Final[Mapping[str, str]] = {
    "first_fetch_all": "run: connector fetch-all",
    "first_listing": "comes by itself once the object was listed",
    "paused": "go on: connector resume",
    "sends_paused": "go on: connector resume --sends",
    "database": "say which database this is: connector database show",
    "first_look": "comes by itself once the CRM was looked at",
    "quarantined": "comes by itself once the lines set aside are back",
    "observe": "the mapping only observes: change rollout:",
    "parent": "comes by itself with the record it refers to",
    "parent_unavailable": "what it must refer to does not come by itself: see that record with connector explain",
    "definitions": "comes by itself once the CRM's definitions are read again",
    "unknown_outcome": "comes by itself: nobody knows yet whether the last write happened",
    "forbidden": "the token's user may not do that in the CRM: give the right, or take the mapping out",
    "unauthorised": "give a valid API token",
    "accountexpired": "pay or renew the CRM account",
    "ratelimited": "comes by itself when the CRM's budget allows",
}
_ASIDE: Final[Mapping[str, str]] = {
    "is locked": "end what locks it, or wait: it is tried again by itself",
    "no field": "make it again in the CRM under that name, or take the line out of the file",
    "no column": "add it again, or take the line out of the file",
    "no table": "make it again, or take the file out",
    "lacks ": "grant it: connector check DIR prints the statement",
    " was ": "make it of the old type again, or adapt the line: an edited file takes it as it is",
    "another one than before": "comes by itself: it is compared with every record",
    "fields are named": "rename one of them, or write its {key: …}",
}
BY_ITSELF: Final = "comes by itself"
LOOK: Final = "see: connector explain MAPPING KEY"


def for_parked(cause: str) -> str:
    """How a parked record goes on."""
    return _PARKED.get(cause.partition(":")[0], f"look at it with connector explain, {_RETRY}")


def for_held(cause: str) -> str:
    """How a held value goes on."""
    return _HELD.get(cause, "correct the value, or the line's rule")


def for_waiting(cause: str) -> str:
    """How what waits or backs off goes on."""
    return _WAITING.get(cause, BY_ITSELF)


def for_aside(reason: str) -> str:
    """How a quarantined field returns, by the words of the problem."""
    return next(
        (advice for words, advice in _ASIDE.items() if words in reason), "adapt the line, or make both sides fit it"
    )


def for_block(said: str) -> str | None:
    """What to do about what `explain` says of a record; None where that says it itself, or nothing can be done."""
    what, _, why = said.partition(": ")
    if what.endswith("is paused"):
        return "go on: connector resume"
    if what == "the connection is held":
        return for_waiting(why.replace("_", ""))
    advised = _BLOCKS.get(what.split(" ")[0])
    return advised(why) if advised is not None else None


def _held(why: str) -> str:
    """A name of a line may hold a colon; a cause does not, but may be followed by when it was met."""
    return for_held(why.rpartition(": ")[2].partition(",")[0])


def _left(_why: str) -> str:
    return "comes by itself once it passes the filter again"


_BLOCKS: Final[Mapping[str, Callable[[str], str]]] = {
    **dict.fromkeys(("park", "parked"), for_parked),
    **dict.fromkeys(("wait", "retry", "nothing"), for_waiting),
    **dict.fromkeys(("excluded", "frozen"), _left),
    "held": _held,
    "quarantined": for_aside,
}
"""By the first word of a block."""
