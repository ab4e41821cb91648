"""Known bugs, planted for a test: the simulation must find each, for a net that catches nothing proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from unittest.mock import patch

from connector.core import merge, plan
from connector.core.merge import Decision, Inputs
from connector.core.model import Base, Gone, Lane, LinkId, LinkState, NotVisible
from connector.core.plan import Plan, Situation, Step, tombstones
from connector.core.plan.pairs import pair
from connector.crm.ledger import Burst
from connector.engine.apply import applier, rows
from connector.engine.fold import Folder
from connector.engine.observe import observer, situation
from connector.engine.send import resolve, sender
from connector.engine.send.sender import Sender
from connector.engine.sweeps.sweeper import Sweeper
from connector.ports import Hint, HintKind, VersionOrder
from connector.store import intents, lease, links, match_keys, notes, references, sweeps, work
from connector.store.db import Connection, Fence
from tests.simulation import story, turns

PATIENCE = 1200.0
"""Simulated seconds after which a story with a bug counts as hanging."""


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug, and the seed of a story that is known to find it; None: it took more stories than a test has time for."""

    what: str
    plant: Callable[[ExitStack], None]
    seed: int | None = None

    def planted(self) -> AbstractContextManager[object]:
        """The code is wrong while the context lasts."""
        stack = ExitStack()
        stack.enter_context(patch.object(story, "PATIENCE", PATIENCE))
        self.plant(stack)
        return stack


def _instead(target: Any, name: str, wrong: object) -> Callable[[ExitStack], None]:
    def plant(stack: ExitStack) -> None:
        stack.enter_context(patch.object(target, name, wrong))

    return plant


def _no_intents(stack: ExitStack) -> None:
    numbers = count(1)

    async def opened(_: Sender, wanted: Sequence[Any]) -> Sequence[int]:
        return [-next(numbers) for _ in wanted]

    stack.enter_context(patch.object(Sender, "_open_intents", opened))


def _at_once(stack: ExitStack) -> None:
    for module in (resolve, sender):
        stack.enter_context(patch.object(module, "UNKNOWN_FOR", timedelta(0)))


def _strangers(stack: ExitStack) -> None:
    async def join_nobody(self: Folder, db: Connection, name: str, hints: Sequence[Hint], now: datetime) -> None:
        """No event is taken to tell of what we made."""

    stack.enter_context(patch.object(Folder, "_join_ours", join_nobody))
    stack.enter_context(patch.object(situation, "_maker", lambda *_: (None, None)))


async def _lock_nothing(db: Connection, shape: Any, group: Sequence[Any]) -> None:
    """Every row is taken to be as it was observed."""


async def _finish(db: Connection, done: Sequence[tuple[LinkId, int]], now: datetime) -> None:
    await db.execute("delete from connector.work where link_id = any($1::bigint[])", [link for link, _ in done])


def _newer_only(stack: ExitStack) -> None:
    matters = Folder._matters

    def newer(self: Folder, link: Any, hint: Hint) -> bool:
        order = self.context.crm.compare(hint.version, link.version) if link is not None else VersionOrder.NEWER
        return matters(self, link, hint) and order is VersionOrder.NEWER

    stack.enter_context(patch.object(Folder, "_matters", newer))


def _not_ours(stack: ExitStack) -> None:
    matters = Folder._matters

    def others(self: Folder, link: Any, hint: Hint) -> bool:
        return matters(self, link, hint) and hint.actor != OUR_USER

    stack.enter_context(patch.object(Folder, "_matters", others))


OUR_USER = "8800001"


def _gone(s: Situation) -> Plan:
    return pair(replace(s, crm=Gone("404")) if isinstance(s.crm, NotVisible) else s)


def _as_they_were_sent(stack: ExitStack) -> None:
    def base(case: Any, sent: Base, stored: Any) -> Base:
        return {**case.link.base, **sent}

    for module in (resolve, sender):
        stack.enter_context(patch.object(module, "stored_base", base))


async def _no_children(db: Connection, connection: str, parents: Sequence[LinkId]) -> Sequence[LinkId]:
    return ()


async def _not_woken(db: Connection, parents: Sequence[LinkId], now: datetime) -> None:
    await db.execute(
        "update connector.work set state = 'due', due_at = $2 where waiting_for = any($1::bigint[]) and state = 'waiting'",
        list(parents),
        now,
    )


def _risen(s: Situation, row: Any) -> Plan | None:
    return Plan(Step.APPLY, "alive_again", LinkState.OPEN, widowed=True)


async def _no_kin(context: Any, cases: Sequence[Any]) -> Mapping[LinkId, Any]:
    return {}


def _always_both(line: Any, given: Inputs, base: Any, *, app_changed: bool, crm_changed: bool) -> Decision:
    return merge._both_ways(line, given, app_changed=app_changed, crm_changed=crm_changed)


async def _absent_is_gone(self: Sweeper, name: str, since: datetime, lane: Lane) -> None:
    async with self.context.change() as db:
        ids = await sweeps.unseen(db, self.context.name, name, since, after=LinkId(0), limit=1000)
        marks = [work.Mark(link, lane, evidence=True) for link in ids]
        await work.mark(db, self.context.name, marks, self.context.clock.now())


def _deaf(stack: ExitStack) -> None:
    matters = Folder._matters

    def heard(self: Folder, link: Any, hint: Hint) -> bool:
        return matters(self, link, hint) and hint.kind is not HintKind.DELETED

    stack.enter_context(patch.object(Folder, "_matters", heard))


async def _keep_nothing(db: Connection, connection: str, name: str, keys: Any) -> None:
    """No key is kept."""


async def _close_nothing(db: Connection, ids: Sequence[int]) -> None:
    """No intent is closed."""


async def _all_read(db: Connection, connection: str, names: Sequence[str]) -> frozenset[str]:
    return frozenset()


def _forget_creates(stack: ExitStack) -> None:
    async def none_open(db: Connection, connection: str, name: str) -> Sequence[Any]:
        return ()

    async def none_named(db: Connection, connection: str, name: str, ids: Any) -> Mapping[int, LinkId]:
        return {}

    stack.enter_context(patch.object(intents, "open_creates", none_open))
    stack.enter_context(patch.object(intents, "named", none_named))


def _unfenced(stack: ExitStack) -> None:
    async def hold(db: Connection, fence: Fence, *, durable: bool = True) -> None:
        """Nobody looks at the epoch."""

    async def renew(db: Connection, fence: Fence, now: datetime) -> bool:
        return True

    stack.enter_context(patch.object(turns, "hold", hold))
    stack.enter_context(patch.object(lease, "renew", renew))


FIRST_ROW = notes._MARK.replace("unnest(note.keys)", "unnest(note.keys[1:1])")
BUGS: Mapping[str, Bug] = {
    "no intent": Bug("a write has no intent", _no_intents, 13),
    "at once": Bug("an unknown outcome is repeated at once", _at_once, 3),
    "stranger": Bug("a CRM half is not compared with open creates", _strangers),
    "blind": Bug("a row is written without looking whether it moved", _instead(rows, "_lock_rows", _lock_nothing), 18),
    "generation": Bug("a note that comes while its item is worked on is lost", _instead(work, "finish", _finish), 6),
    "clock": Bug("only an event with a newer version is a change", _newer_only, 3),
    "404": Bug("a bare 404 is a deletion", _instead(plan, "pair", _gone)),
    "as sent": Bug("the base forgets how the CRM stored a value", _as_they_were_sent, 6),
    "children": Bug("who went without his parent is not called", _instead(references, "children", _no_children)),
    "parked": Bug("who was parked for another's key is not called", _instead(work, "wake", _not_woken), 2),
    "echoes": Bug("what our own user did is an echo", _not_ours, 2),
    "risen": Bug("a row rises from its tombstone", _instead(tombstones, "_row_alone", _risen)),
    "copies": Bug("a copy keeps the key of its original", _instead(observer, "find_kin", _no_kin)),
    "wrong way": Bug("one-way lines go both ways", _instead(merge, "_one_way", _always_both), 2),
    "absent": Bug("what a listing lacks is deleted", _instead(Sweeper, "_look_for_unseen", _absent_is_gone)),
    "deaf": Bug("an event of a deletion is not heard", _deaf, 3),
    "keys": Bug("the match keys of records are forgotten", _instead(match_keys, "replace", _keep_nothing)),
    "open": Bug("an intent stays open once its outcome is known", _instead(intents, "close", _close_nothing), 1),
    "bulk": Bug("a statement of many rows marks one", _instead(notes, "_MARK", FIRST_ROW), 2),
    "unread": Bug("a record that nobody could read matches nothing", _instead(links, "unread", _all_read)),
    "burst": Bug("the burst window is not kept", _instead(Burst, "free", lambda self, _at: self.limit), 1),
    "silent": Bug("the journal forgets what was replaced", _instead(applier, "entries", lambda _result: ()), 2),
    "no fence": Bug("whoever lost his lease goes on writing", _unfenced),
    "no listing": Bug("open creates are forgotten", _forget_creates),
}
