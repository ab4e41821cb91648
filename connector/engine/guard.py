"""Schema guard: looks at both schemas again and again, and goes on with what still fits.

What does not fit is set aside alone; what returns is compared in a full sweep. Stepped by whoever follows the mapping files,
so that rules have one writer.
"""

from __future__ import annotations

from datetime import datetime

import asyncpg
import structlog

from connector.core.errors import ConnectorError
from connector.core.pins import Pins, former_words
from connector.core.schema import Metadata
from connector.engine.context import Context, Rules
from connector.engine.rules import (
    METADATA,
    PINS,
    described,
    joined,
    look_again,
    prepare_tables,
    read_definitions,
    usable,
)
from connector.store import connections, sweeps, work
from connector.store.db import Connection

log = structlog.get_logger()
TABLES = 2.0
"""Seconds between two looks at the app's tables."""
TRIGGERS, LOCKED = 60.0, 10.0
"""Seconds between two looks at the capture triggers, and at tables that were locked."""
DEFINITIONS, DEFINITIONS_ASIDE, DEFINITIONS_ASKED = 3600.0, 600.0, 60.0
"""Seconds between two reads of the CRM's definitions: as a rule, while a line is set aside, when there is a hint.

A hint that led to nothing makes the next one wait twice as long, up to the second of these.
"""
STOPPED = ("quarantined", "schemamoved", "observe")
"""Causes of items that another schema or another mapping file lets go on."""


class SchemaGuard:
    """Keeps the rules of one connection fitting to both schemas."""

    def __init__(self, context: Context, before: Pins) -> None:
        """`before`: the pins as they were when the context's rules were made."""
        self.context = context
        now = context.clock.monotonic()
        self.read_at = self.looked_at = self.prepared_at = now
        self.patience = DEFINITIONS_ASKED
        self.unprepared = self.again = before != context.rules.bound.pins
        self.returned = returned(context.rules, before)
        """Objects of lines that returned and are not compared yet."""

    async def step(self) -> None:
        """What is due of: the CRM's definitions, the tables, the triggers."""
        metadata = await self._definitions() if self._definitions_due() else None
        if metadata is not None or self.again or self._since(self.looked_at) >= TABLES:
            await self._look(metadata)
        again = LOCKED if self.context.rules.locked else TRIGGERS
        if self.unprepared or self._since(self.prepared_at) >= again:
            await self._prepare()

    def _since(self, moment: float) -> float:
        return self.context.clock.monotonic() - moment

    def _definitions_due(self) -> bool:
        if self.context.schema_moved.is_set():
            return self._since(self.read_at) >= self.patience
        aside = self.context.rules.bound.pins.aside
        return self._since(self.read_at) >= (DEFINITIONS_ASIDE if aside else DEFINITIONS)

    async def _definitions(self) -> Metadata | None:
        """The CRM's definitions; None when it does not answer, then they are asked for again soon."""
        hinted = self.context.schema_moved.is_set()
        self.context.schema_moved.clear()
        self.read_at = self.context.clock.monotonic()
        try:
            metadata = await read_definitions(self.context.crm, self.context.clock)
        except ConnectorError as error:
            self.context.failures.note(error)
            self.context.schema_moved.set()
            return None
        moved = former_words(metadata, self.context.rules.bound.pins) != self.context.rules.metadata
        self.patience = DEFINITIONS_ASKED if moved or not hinted else min(2 * self.patience, DEFINITIONS_ASIDE)
        return metadata

    async def _look(self, metadata: Metadata | None) -> None:
        """Joins the set with both schemas anew where one of them moved."""
        self.looked_at = self.context.clock.monotonic()
        before = self.context.rules
        tables = await described(self.context.database, before.spec)
        if metadata is None and tables == before.tables and not self.again:
            return
        self.again, pins = False, before.bound.pins
        fresh = joined(before.spec, metadata or before.metadata, tables, pins, applied=True).without(before.locked)
        if (fresh.metadata, fresh.tables, fresh.bound.pins) != (before.metadata, before.tables, pins):
            await self._adopt(fresh, metadata)
        else:
            self.context.rules = fresh
        if metadata is not None:
            async with self.context.change() as db:
                await work.rearm(db, self.context.name, "definitions", self.context.clock.now())

    async def _adopt(self, fresh: Rules, metadata: Metadata | None) -> None:
        before, self.context.rules = self.context.rules, fresh
        pins, old = fresh.bound.pins, before.bound.pins
        async with self.context.change() as db:
            await connections.save_pins(db, self.context.name, PINS.dump_json(pins).decode())
            if metadata is not None:
                known = METADATA.dump_json(metadata).decode()
                await connections.keep_metadata(db, self.context.name, known, self.context.clock.now())
            if usable(fresh) <= usable(before):
                await look_again(db, before, fresh, self.context.clock.now())
        for mapping, line in sorted(pins.aside.keys() - old.aside.keys()):
            log.warning("line.set_aside", connection=self.context.name, mapping=mapping, line=line)
        for mapping, line in sorted(old.aside.keys() - pins.aside.keys()):
            log.info("line.returned", connection=self.context.name, mapping=mapping, line=line)
        self.again = pins != old
        self.unprepared = self.unprepared or pins != old or fresh.tables != before.tables
        self.returned |= returned(fresh, old)

    async def _prepare(self) -> None:
        """Triggers on the tables as they are now; then what was left undone meanwhile is found by a full sweep."""
        context, now = self.context, self.context.clock.now()
        try:
            prepared = await prepare_tables(context.database, context.fence, context.rules, now)
        except asyncpg.SyntaxOrAccessError as error:
            log.warning("triggers.not_made", connection=context.name, error=type(error).__name__)
            self.prepared_at, self.unprepared = context.clock.monotonic(), False
            return
        freed = context.rules.locked.keys() - prepared.rules.locked.keys()
        context.rules = prepared.rules
        bound = context.rules.bound.mappings
        objects = {bound[name].object for name in {*freed, *prepared.renewed} & bound.keys()} | self.returned
        async with context.change() as db:
            if self.unprepared or freed:
                await release(db, context.name, now)
            if objects:
                await sweeps.ask(db, context.name, "full", now, objects)
        self.returned = set()
        self.prepared_at, self.unprepared = context.clock.monotonic(), False
        context.pulse.set()


def returned(rules: Rules, before: Pins) -> set[str]:
    """The objects of the lines that returned."""
    names = rules.bound.pins.returned(before)
    return {mapping.object for name, mapping in rules.bound.mappings.items() if name in names}


async def release(db: Connection, connection: str, now: datetime) -> None:
    """Makes due what waited for a schema that moved or for another mapping file, or was refused by a schema."""
    for cause in STOPPED:
        await work.rearm(db, connection, cause, now)
    await work.rearm_refused(db, connection, now)
