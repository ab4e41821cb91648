"""Fold: notes become work. Changes of rows are folded inside the database, events here, both in one transaction each."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from connector.core.identity import identity_intent
from connector.core.model import CrmId, Lane, Link, LinkId
from connector.core.schema import FieldType
from connector.core.unseen import Told
from connector.engine.containment import contained
from connector.engine.context import Context, Rules
from connector.engine.echo import is_echo
from connector.engine.low_water import LowWater, since
from connector.engine.observe.case import int_or
from connector.engine.recognition import look
from connector.ports import Hint, HintKind, VersionOrder
from connector.store import aliases, intents, link_writes, links, match_keys, notes, references, sweeps, work
from connector.store.db import Connection
from connector.store.hints import hint_from_json
from connector.store.work import Mark

BUSY, IDLE = 0.02, 0.1
BUSY_FOR = 2.0
CHANGES, EVENTS = 100, 500
SWEEP_INSTEAD: Final[Mapping[notes.Kind, str]] = {"change": "full", "event": "recent"}
SKEW = timedelta(minutes=5)
log = structlog.get_logger()


class Folder:
    """Folds the notes of one connection."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._sizes: dict[notes.Kind, int] = {}
        self._low = {"change": LowWater(), "event": LowWater()}

    async def run(self) -> None:
        """Folds until cancelled: every 20 ms while notes come, every 100 ms else, at once when told.

        The same look wakes those who carry out what is due and what people asked for: one question instead of three.
        """
        busy_until = 0.0
        while True:
            self.context.notes.clear()
            if await self.once():
                busy_until = self.context.clock.monotonic() + BUSY_FOR
                continue
            pause = BUSY if self.context.clock.monotonic() < busy_until else IDLE
            await _either(self.context.notes, pause)

    async def once(self) -> bool:
        """Folds one batch of either kind; False when there was nothing."""
        found = await self._look()
        change, event = found.change, found.event
        if found.asked:
            self.context.asked.set()
        folded = [
            change is not None and await self._contained("change", partial(self._changes, change), CHANGES),
            event is not None and await self._contained("event", partial(self._events, event), EVENTS),
        ]
        if found.due or any(folded):
            self.context.pulse.set()
        return any(folded)

    async def _look(self) -> notes.Waiting:
        now, moment = self.context.clock.now(), self.context.clock.monotonic()
        changes, events = (low.bottom(moment) for low in self._low.values())
        bottom = notes.Bottom(changes, events, since(now, whole=not changes))
        async with self.context.database.session() as db:
            return await notes.waiting(db, self.context.fence, now, bottom)

    async def _contained(self, kind: notes.Kind, fold: Callable[[int], Awaitable[bool]], most: int) -> bool:
        """Notes that cannot be folded together are tried in ever smaller batches, until the one to blame stands alone."""
        size = self._sizes.get(kind, most)
        found = await contained(lambda: fold(size))
        if found is not None:
            self._sizes[kind] = min(size * 2, most)
            return found
        if size == 1:
            await self._give_up(kind)
        self._sizes[kind] = max(size // 2, 1)
        return True

    async def _give_up(self, kind: notes.Kind) -> None:
        """A sweep finds what the note would have told."""
        log.error("fold.given_up", connection=self.context.name, kind=kind)
        async with self.context.change() as db:
            await notes.drop_oldest(db, self.context.name, kind)
            await sweeps.ask(db, self.context.name, SWEEP_INSTEAD[kind], self.context.clock.now())

    async def _changes(self, first: int, limit: int) -> bool:
        async with self.context.change(durable=False) as db:
            now = self.context.clock.now()
            folded = await notes.fold_changes(db, self.context.name, now, limit, first)
            if folded.truncated:
                await sweeps.ask(db, self.context.name, "full", now)
        self._low["change"].consumed(folded.last)
        return folded.notes > 0

    async def _events(self, first: int, limit: int) -> bool:
        async with self.context.change(durable=False) as db:
            now = self.context.clock.now()
            events = await notes.take_events(db, self.context.name, limit, first)
            if not events:
                return False
            hints = [replace(hint_from_json(event.hint), id=f"{event.id:019}") for event in events]  # as they came
            await look(self.context, db, [hint.identity for hint in hints])
            for name, group in _by_object(hints).items():
                await self._fold_object(db, name, group, now)
        self._low["event"].consumed(events[-1].id)
        self.context.hearing.heard_at = max(event.received_at for event in events)
        if any(hint.kind is HintKind.SCHEMA for hint in hints):
            self.context.schema_moved.set()
        return True

    async def _fold_object(self, db: Connection, name: str, hints: Sequence[Hint], now: datetime) -> None:
        rules = self.context.rules
        if not rules.of_object(name):
            return
        hints = _both_ends(hints)
        self._tell_pages(name, hints, now)
        merges = {hint.crm_id: hint.merged_to for hint in hints if hint.merged_to is not None}
        if merges:
            await aliases.add(db, self.context.name, name, merges, now)
        await self._join_ours(db, name, hints, now)
        known = await links.by_crm(db, self.context.name, name, sorted({hint.crm_id for hint in hints}))
        fresh = await self._news(db, hints, known)
        await self._keep_keys(db, name, [hint for hint in hints if hint not in fresh and hint.crm_id in known])
        missing = {hint.crm_id for hint in fresh if hint.crm_id not in known}
        if missing:
            await link_writes.open_crm(db, self.context.name, name, missing, now)
            known = {**known, **await links.by_crm(db, self.context.name, name, sorted(missing))}
        fresh = [_mapped_alone(rules, hint) for hint in fresh]
        marks = _marks(fresh, known, now + timedelta(seconds=self.context.clock_offset) + SKEW)
        if marks:
            await work.mark(db, self.context.name, marks, now)

    def _tell_pages(self, name: str, hints: Sequence[Hint], now: datetime) -> None:
        """What events tell of records that pages are the first to meet."""
        gone = [hint.crm_id for hint in hints if hint.kind in (HintKind.DELETED, HintKind.MERGED)]
        self.context.newcomers.take(name, [hint.crm_id for hint in hints])
        self.context.newcomers.lose(name, gone, now)

    async def _join_ours(self, db: Connection, name: str, hints: Sequence[Hint], now: datetime) -> None:
        """An event that names an open create shows what it made, whatever became of that since.

        Of a copy and its original, the older one is ours.
        """
        made: dict[int, CrmId] = {}
        for hint in sorted(hints, key=lambda h: int_or(h.crm_id), reverse=True):
            number = identity_intent(hint.identity)
            made |= {number: hint.crm_id} if number is not None else {}
        waiting = await intents.named(db, self.context.name, name, made) if made else {}
        known = await links.by_crm(db, self.context.name, name, [made[number] for number in waiting])
        taken = {crm_id for crm_id, link in known.items() if link.app_key is not None}
        joined = {made[number]: link for number, link in waiting.items() if made[number] not in taken}
        await link_writes.absorb(db, self.context.name, name, joined)
        for crm_id, link in joined.items():
            await link_writes.join(db, link, crm_id, now)
        if joined:
            await work.wake(db, list(joined.values()), now)
            children = await references.children(db, self.context.name, list(joined.values()))
            await work.mark(db, self.context.name, [Mark(child, Lane.LIVE) for child in children], now)

    async def _keep_keys(self, db: Connection, name: str, echoes: Sequence[Hint]) -> None:
        """An event that is no news for any line may still say a second e-mail: a key by which the record is matched."""
        mappings = [m for m in self.context.rules.of_object(name) if m.match and m.hears]
        lines = [line for m in mappings for rule in m.match for line in rule]
        needed = {f.key for line in lines for f in line.fields if f.type is not FieldType.ID}
        told = [hint for hint in echoes if needed & set(hint.previous) and needed <= set(hint.values)]
        if told:
            hashes = {h.crm_id: self.context.record_hashes(mappings, h.values, h.crm_id) for h in told}
            await match_keys.replace(db, self.context.name, name, hashes)

    async def _news(self, db: Connection, hints: Sequence[Hint], known: Mapping[CrmId, Link]) -> Sequence[Hint]:
        """The hints that matter. What a record is being compared with while it is worked on is no longer its base.

        Somebody may have put back what the base says just after the read that is under way, within the step of the
        CRM's clock: only an event with an older version is certainly an echo then.
        """
        news = [hint for hint in hints if self._matters(known.get(hint.crm_id), hint)]
        spent = [known[hint.crm_id] for hint in hints if hint not in news and hint.crm_id in known]
        running = await work.running(db, [link.id for link in spent]) if spent else frozenset()
        if not running:
            return news
        return [hint for hint in hints if hint in news or self._may_be_new(known.get(hint.crm_id), hint, running)]

    def _may_be_new(self, link: Link | None, hint: Hint, running: frozenset[LinkId]) -> bool:
        if link is None or link.id not in running or hint.kind is HintKind.SCHEMA:
            return False
        return self.context.crm.compare(hint.version, link.version) is not VersionOrder.OLDER

    def _matters(self, link: Link | None, hint: Hint) -> bool:
        if hint.kind is HintKind.SCHEMA:
            return False
        if link is None:
            gone = hint.kind in (HintKind.DELETED, HintKind.MERGED)
            return self.context.rules.heard(hint.object) and not gone
        return not is_echo(self.context.crm, self.context.rules, link, hint)


def _both_ends(hints: Sequence[Hint]) -> Sequence[Hint]:
    """The event of a survivor tells of its loser too, whose own may come later or never."""
    told = [
        replace(hint, crm_id=hint.merged_from, kind=HintKind.MERGED, merged_to=hint.crm_id, version=None, previous={})
        for hint in hints
        if hint.merged_from is not None
    ]
    return [*hints, *told]


def _marks(hints: Iterable[Hint], known: Mapping[CrmId, Link], latest: datetime) -> Sequence[Mark]:
    """One mark per link. A hint from the future says that something changed, but not when or which version."""
    merged: dict[CrmId, Mark] = {}
    for hint in hints:
        if hint.crm_id not in known:
            continue
        before = merged.get(hint.crm_id) or Mark(known[hint.crm_id].id, Lane.LIVE)
        trusted = hint.at is not None and hint.at <= latest
        times = dict.fromkeys(hint.previous, hint.at) if hint.at is not None and trusted else {}
        merged[hint.crm_id] = Mark(
            before.link_id,
            Lane.LIVE,
            {**before.crm_changed, **times},
            evidence=hint.kind in (HintKind.DELETED, HintKind.MERGED)
            or (before.evidence and hint.kind is not HintKind.RESTORED),
            told={**before.told, **_told(hint)},
            crm_version=max(filter(None, (before.crm_version, hint.version if trusted else None)), default=None),
        )
    return list(merged.values())


def _told(hint: Hint) -> Mapping[str, Told]:
    """What an event tells that a later read may not show any more."""
    died = hint.kind in (HintKind.DELETED, HintKind.RESTORED)
    return {hint.id: Told(hint.values, hint.previous, hint.at, died=died)} if hint.previous or died else {}


def _mapped_alone(rules: Rules, hint: Hint) -> Hint:
    """The hint without what no line reads."""
    keys = {field.key for m in rules.of_object(hint.object) for line in m.every_line for field in line.fields}
    values = {key: value for key, value in hint.values.items() if key in keys}
    return replace(hint, values=values, previous={k: v for k, v in hint.previous.items() if k in keys})


def _by_object(hints: Iterable[Hint]) -> Mapping[str, Sequence[Hint]]:
    groups: dict[str, list[Hint]] = defaultdict(list)
    for hint in hints:
        groups[hint.object].append(hint)
    return groups


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Returns when the event is set or the time is over."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
