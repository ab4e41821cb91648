"""Rules: a mapping set joined with both schemas, and the application's tables prepared for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import asyncpg
import structlog
from pydantic import TypeAdapter

from connector.core import match
from connector.core.bind import bind
from connector.core.line import Bound, BoundMapping
from connector.core.mapping import Access, MappingSet, Rollout
from connector.core.model import Lane
from connector.core.pins import Pins, former_words
from connector.core.schema import Metadata
from connector.engine.clock import Clock
from connector.engine.context import Rules, Tables
from connector.local import capture
from connector.local.capture import Capture
from connector.local.catalogue import Connection, describe, quote_ident, quote_literal
from connector.local.tables import Shape
from connector.ports import CRM
from connector.store import connections, link_writes, links, sweeps, work
from connector.store.db import Database, Fence

log = structlog.get_logger()
METADATA, PINS = TypeAdapter(Metadata), TypeAdapter(Pins)
"""How the connection's row keeps them."""


async def read_definitions(crm: CRM, clock: Clock) -> Metadata:
    """The CRM's definitions as they are now; ConnectorError when it does not answer."""
    began = clock.now()
    return replace(await crm.metadata(lane=Lane.LIVE), read_at=began)


async def make_rules(
    database: Database, spec: MappingSet, metadata: Metadata, pins: Pins, *, applied: bool = False
) -> Rules:
    """The set joined with both schemas as they are now, see `joined`."""
    return joined(spec, metadata, await described(database, spec), pins, applied=applied)


async def described(database: Database, spec: MappingSet) -> Tables:
    """The tables of the set that exist."""
    async with database.session() as db:
        return await describe(db, {(m.schema, m.table) for m in spec.mappings})


def joined(spec: MappingSet, metadata: Metadata, tables: Tables, pins: Pins, *, applied: bool) -> Rules:
    """The set joined with both schemas; problems are in `bound`, usable mappings and the pins from now on too.

    Of a set that is `applied` already, a field or column that went missing costs only its own line.
    """
    known = former_words(metadata, pins)
    bound = bind(confined(spec), known, tables, pins=pins, quarantine=applied)
    name = spec.connection.name
    shapes = {m.name: _shape(name, bound, m) for m in bound.mappings.values()}
    objects = {m.object for m in bound.mappings.values()}
    keyed = {each: match.digest(m for m in bound.mappings.values() if m.object == each) for each in objects}
    return Rules(spec, bound, known, shapes, tables, keyed)


def usable(rules: Rules) -> frozenset[tuple[str, str, str]]:
    """Every line that can be worked with, and what makes its base valid."""
    return frozenset((m.name, line.name, line.rule) for m in rules.bound.mappings.values() for line in m.every_line)


async def look_again(db: Connection, before: Rules, after: Rules, now: datetime) -> None:
    """Makes due what a change of definitions may let pass: everything where a line is new, else what was held."""
    name = after.spec.connection.name
    if usable(after) - usable(before):
        await sweeps.ask(db, name, "full", now)
    elif after.metadata != before.metadata or after.tables != before.tables:
        held = await links.held(db, name)
        await link_writes.forget_refused(db, held)
        await work.mark(db, name, [work.Mark(link, Lane.SWEEP) for link in held], now)


def confined(spec: MappingSet) -> MappingSet:
    """The set as the connection's access allows: a read-only one receives and never sends, by construction."""
    if spec.connection.access is not Access.READ_ONLY:
        return spec
    full = Rollout.FULL
    mappings = tuple(replace(m, rollout=Rollout.RECEIVE) if m.rollout is full else m for m in spec.mappings)
    return replace(spec, mappings=mappings)


def _shape(connection: str, bound: Bound, mapping: BoundMapping) -> Shape:
    names = [*captured(bound, mapping), *mapping.deletes.set]
    names += [name for sibling in bound.siblings(mapping) for name in _read(sibling)]
    if mapping.updated_at is not None:
        names.append(mapping.updated_at)
    return Shape(f"{connection}/{mapping.name}", mapping.table, mapping.key, tuple(dict.fromkeys(names)))


def captured(bound: Bound, mapping: BoundMapping) -> tuple[str, ...]:
    """Every column whose change may mean work, also since it makes the row another mapping's."""
    kinds = [condition.name for sibling in bound.siblings(mapping) for condition in sibling.only_send]
    return tuple(dict.fromkeys([*_read(mapping), *kinds]))


def _read(mapping: BoundMapping) -> list[str]:
    names = [mapping.key]
    for line in (*mapping.lines, *(line for rule in mapping.match for line in rule)):
        names += line.columns
    return names + [condition.name for condition in mapping.only_send]


@dataclass(frozen=True, slots=True)
class Prepared:
    """`rules` without the mappings whose tables are locked.

    `renewed`: those whose triggers were made, and not for the first time: what happened before may be unknown.
    """

    rules: Rules
    renewed: frozenset[str]


async def prepare_tables(database: Database, fence: Fence, rules: Rules, now: datetime) -> Prepared:
    """Makes the capture triggers, and removes those of mappings that are gone.

    Rows that are older than them and not to be sent are recorded as left out. A table that somebody keeps locked is left
    alone with its mapping until the next time; the application is held up for a second at most.
    """
    renewed, locked = set(), set()
    for name, mapping in {**rules.bound.mappings, **rules.locked}.items():
        wanted = Capture(fence.connection, name, rules.shapes[name], captured(rules.bound, mapping))
        try:
            if await _install(database, fence, mapping, wanted, now):
                renewed.add(name)
        except asyncpg.LockNotAvailableError:
            locked.add(name)
    async with database.transaction(fence) as db:
        await capture.remove_others(db, fence.connection, [mapping.name for mapping in rules.spec.mappings])
        await connections.save_blocked(db, fence.connection, locked, "its table is locked by another session")
    for name in sorted(locked - rules.locked.keys()):
        log.warning("table.locked", connection=fence.connection, mapping=name)
    for name in sorted(rules.locked.keys() - locked):
        log.info("table.free", connection=fence.connection, mapping=name)
    return Prepared(rules.without(locked), frozenset(renewed))


async def _install(database: Database, fence: Fence, mapping: BoundMapping, wanted: Capture, now: datetime) -> bool:
    """True when they were made, not for the first time."""
    async with database.transaction(fence) as db:
        first = await capture.is_new(db, wanted)
        made = await capture.install(db, wanted)
        if first and (not mapping.backfill.all or mapping.backfill.since is not None):
            await leave_out(db, mapping, wanted, now)
    return made and not first


async def leave_out(db: Connection, mapping: BoundMapping, wanted: Capture, now: datetime) -> None:
    """Records the rows that `backfill` leaves alone, inside the database."""
    since = mapping.backfill.since
    where = ""
    if since is not None and mapping.updated_at is not None:
        stamp = quote_ident(mapping.updated_at)
        where = f"where t.{stamp} is null or t.{stamp} < {quote_literal(since)}::timestamptz"
    await db.execute(
        f"""insert into connector.link (connection, object, mapping, app_key, origin, first_seen_at, state)
            select $1, $2, $3, {wanted.shape.sql_key}::text, 'app', $4, 'left_out' from {wanted.shape.sql_name} t {where}
            on conflict do nothing""",  # noqa: S608 (names are quoted)
        wanted.connection,
        mapping.object,
        mapping.name,
        now,
    )
