"""The doctor: whether a mapping set could run here and now, and for each thing that is missing what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from connector.app.doors import USER
from connector.app.homes import strangers
from connector.app.role import CHOOSE, words_of
from connector.app.roundtrip import answer_of
from connector.app.sets import Account, LoadedSet, make_crm
from connector.core import match
from connector.core.errors import ConnectorError
from connector.core.identity import Role
from connector.core.line import BoundMapping, Line
from connector.core.mapping import DeletePolicy, Problem, Webhooks
from connector.core.model import Lane
from connector.core.pins import Pins
from connector.core.schema import Metadata
from connector.engine.clock import Clock
from connector.engine.context import Rules
from connector.engine.rules import PINS, captured, make_rules
from connector.local import inspection
from connector.local.capture import Capture
from connector.local.catalogue import Connection, quote_ident
from connector.local.inspection import Needs
from connector.obs.metrics import Metrics
from connector.ports import CRM, Subscription
from connector.store import connections, passwords, roles
from connector.store.cipher import Cipher
from connector.store.db import Database

OLDEST = 14
SKEW = 5.0
"""Seconds that two clocks may differ before a person hears of it."""
UNREACHED = "start connector run, and see that CONNECTOR_PUBLIC_URL leads to it without a redirect"
ADVICE = {
    "401": "it is another daemon's, or a proxy takes the Authorization header away",
    "404": "a daemon answers that has no such connection: is this set among its directories?",
}
"""What to do about an answer of our own address."""
SMALL = 1000
"""Rows up to which a missing index does not matter."""


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what was found, and what to do about it."""

    check: str
    level: Level
    message: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that a check found. Problems have positions in the files."""

    problems: Sequence[Problem]
    findings: Sequence[Finding]

    @property
    def sound(self) -> bool:
        """True when nothing keeps the set from running."""
        return not any(not p.warning for p in self.problems) and not any(f.level is Level.ERROR for f in self.findings)


@dataclass(frozen=True, slots=True)
class Doctor:
    """Looks at one set, its database and its CRM account. Changes nothing."""

    loaded: LoadedSet
    account: Account
    database: Database
    clock: Clock
    metrics: Metrics
    public_url: str | None = None
    cipher: Cipher | None = None

    async def examine(self) -> Diagnosis:
        """Everything, as far as each side lets us look."""
        findings = [finding async for finding in self._database()]
        crm = make_crm(self.loaded, self.account, self.clock, self.metrics)
        try:
            return await self._with_crm(crm, findings)
        finally:
            await crm.close()

    async def _with_crm(self, crm: CRM, findings: list[Finding]) -> Diagnosis:
        try:
            metadata = await crm.metadata(lane=Lane.MANUAL)
            findings += [finding async for finding in self._crm(crm, metadata)]
        except ConnectorError as error:
            findings.append(Finding("crm", Level.ERROR, error.message, error.advice or "check url and credentials"))
            return Diagnosis(self.loaded.warnings, findings)
        pins, applied = await self._known()
        rules = await make_rules(self.database, self.loaded.spec, metadata, pins, applied=applied)
        async with self.database.session() as db:
            for mapping in rules.bound.mappings.values():
                known = {finding.advice for finding in findings if finding.advice}
                found = [finding async for finding in _mapping(db, self.loaded.name, rules, mapping)]
                findings += [finding for finding in found if finding.advice not in known]
        return Diagnosis((*self.loaded.warnings, *rules.bound.problems, *await self._strangers()), findings)

    async def _strangers(self) -> Sequence[Problem]:
        async with self.database.session() as db:
            readable = await inspection.migrated(db) and not await inspection.schema_grants(db)
            return await strangers(db, self.loaded.spec) if readable else ()

    async def _known(self) -> tuple[Pins, bool]:
        """What the names of the files stood for until now, and whether just these files are in force."""
        async with self.database.session() as db:
            if not await inspection.migrated(db) or await inspection.schema_grants(db):
                return Pins(), False
            pins = await connections.pins(db, self.loaded.name)
            version = await connections.applied_version(db, self.loaded.name)
        return (PINS.validate_json(pins) if pins is not None else Pins()), version == self.loaded.spec.version

    # --- the database ------------------------------------------------------------------------------------------------

    async def _database(self) -> AsyncIterator[Finding]:
        async with self.database.session() as db:
            number = int(await db.fetchval("show server_version_num")) // 10_000
            if number < OLDEST:
                yield Finding("database", Level.ERROR, f"PostgreSQL {number} is too old", f"use {OLDEST} or newer")
            else:
                yield Finding("database", Level.OK, f"PostgreSQL {number}")
            for grant in await inspection.schema_grants(db):
                yield Finding("grants", Level.ERROR, "schema connector cannot be made or used", grant)
            if not await inspection.migrated(db):
                message = "schema connector is not there yet"
                yield Finding("schema", Level.WARNING, message, "connector migrate, or connector run, makes it")
            theirs = await db.fetchval("select clock_timestamp()")
            if await inspection.holds(db, "connection", "role"):
                async for finding in self._role(db):
                    yield finding
        yield _clock("database", (theirs - self.clock.now()).total_seconds())

    async def _role(self, db: Connection) -> AsyncIterator[Finding]:
        """Whether this is the database that worked last."""
        if not await connections.known(db, self.loaded.name):
            return
        stand, here = await roles.load(db, self.loaded.name), await roles.here(db)
        words = words_of(stand)
        if stand.role is Role.IN_DOUBT:
            yield Finding("restore", Level.ERROR, words.why, words.advice)
        elif stand.role is Role.ORIGINAL and stand.place is not None and not here.was(stand.place):
            message = "another database than the one that worked last: nothing will be sent"
            yield Finding("restore", Level.WARNING, message, CHOOSE)
        elif words.why:
            yield Finding("restore", Level.WARNING, words.why, words.advice)
        else:
            yield Finding("restore", Level.OK, "the database that worked last, or the first one")

    # --- the CRM -----------------------------------------------------------------------------------------------------

    async def _crm(self, crm: CRM, metadata: Metadata) -> AsyncIterator[Finding]:
        me = await crm.account()
        fields = sum(len(found) for found in metadata.fields.values())
        seen = f"sees {len(metadata.users)} users, {len(metadata.pipelines)} pipelines, {fields} fields"
        yield Finding("account", Level.OK, f"{me.url}: company {me.company}, user {me.user}; {seen}")
        yield _clock("CRM", me.clock_offset)
        for window in crm.budget():
            level = Level.WARNING if window.name == "daily" and window.remaining < window.limit / 5 else Level.OK
            advice = "" if level is Level.OK else "full sweeps and fetch-all stop at the reserve until it resets"
            message = f"{window.name}: {window.remaining:.0f} of {window.limit:.0f} {window.unit} left"
            yield Finding("budget", level, message, advice)
        async for finding in self._webhooks(crm):
            yield finding

    async def _webhooks(self, crm: CRM) -> AsyncIterator[Finding]:
        """Both halves of the way: the CRM's subscription, and our address under the credentials that it shows."""
        spec = self.loaded.spec.connection
        if spec.webhooks is Webhooks.OFF:
            yield Finding("webhooks", Level.OK, "off: sweeps alone find changes of the CRM")
            return
        path = f"/webhooks/{spec.name}"
        address = f"{self.public_url}{path}" if self.public_url is not None else None
        known = [s for s in await crm.subscriptions(lane=Lane.MANUAL) if s.active and s.url.endswith(path)]
        active = [s for s in known if address is None or s.url == address]
        yield _subscribed(active, address, auto=spec.webhooks is Webhooks.AUTO)
        if address is not None or active:
            yield await self._round_trip(address or active[0].url)

    async def _round_trip(self, address: str) -> Finding:
        """Asks our own address as the CRM would. That the CRM delivers is shown by the next change of a record only."""
        password = await self._password()
        if password is None:
            advice = "set CONNECTOR_SECRET_KEY as the daemon has it, and run the daemon once"
            return Finding("round trip", Level.WARNING, "not tried: the webhook password is not known here", advice)
        answer = await answer_of(address, USER, password)
        if answer == "204":
            message = (
                f"{address} takes the CRM's credentials, asked from this machine; a change in the CRM shows the rest"
            )
            return Finding("round trip", Level.OK, message)
        return Finding("round trip", Level.WARNING, f"{address}: {answer}", ADVICE.get(answer, UNREACHED))

    async def _password(self) -> str | None:
        async with self.database.session() as db:
            if self.cipher is None or not await inspection.migrated(db) or await inspection.schema_grants(db):
                return None
            known = await passwords.valid(db, [self.loaded.name], self.clock.now())
        return next((each.read(self.cipher, self.loaded.name) for each in known[self.loaded.name]), None)


def _subscribed(active: Sequence[Subscription], address: str | None, *, auto: bool) -> Finding:
    if active:
        status = f", the CRM's last delivery was answered {active[0].last_status}" if active[0].last_status else ""
        return Finding("webhooks", Level.OK, f"{len(active)} active subscription(s) to {active[0].url}{status}")
    if address is None:
        advice = "set CONNECTOR_PUBLIC_URL to an address that the CRM can reach"
        return Finding("webhooks", Level.WARNING, "no public address: changes of the CRM are found by sweeps", advice)
    advice = "connector run makes it" if auto else f"make it in the CRM for {address}"
    return Finding("webhooks", Level.WARNING, "no active subscription to our address", advice)


def _clock(whose: str, seconds: float) -> Finding:
    message = f"the {whose}'s clock is {abs(seconds):.1f} s {'ahead of' if seconds >= 0 else 'behind'} ours"
    if abs(seconds) <= SKEW:
        return Finding("clock", Level.OK, message)
    return Finding("clock", Level.WARNING, message, "synchronise this machine's clock (NTP)")


# --- one mapping -----------------------------------------------------------------------------------------------------


async def _mapping(db: Connection, connection: str, rules: Rules, mapping: BoundMapping) -> AsyncIterator[Finding]:
    shape = rules.shapes[mapping.name]
    lacking = await inspection.grants(db, Needs(shape, written(mapping), *_rows(mapping)))
    for grant in lacking:
        yield Finding("grants", Level.ERROR, f"{mapping.name}: {shape.sql_name} lacks a right", grant)
    if not lacking:
        yield Finding("grants", Level.OK, f"{mapping.name}: {shape.sql_name}")
    yield _fields(mapping)
    capture = Capture(connection, mapping.name, shape, captured(rules.bound, mapping))
    yield _triggers(mapping, await inspection.triggers(db, capture))
    if not any(grant.startswith(("GRANT USAGE ON SCHEMA", "GRANT SELECT")) for grant in lacking):  # else unreadable
        async for finding in _indexes(db, rules, mapping):
            yield finding


def written(mapping: BoundMapping) -> tuple[str, ...]:
    """The columns that the mapping writes into rows that exist."""
    columns = [name for line in mapping.lines if line.direction.receives for name in line.columns if not line.template]
    deleted = mapping.deletes.set if mapping.deletes.receive is DeletePolicy.SET else {}
    return tuple(dict.fromkeys([*columns, *deleted]))


def _rows(mapping: BoundMapping) -> tuple[bool, bool]:
    """(makes rows, deletes rows)."""
    return mapping.direction.receives, mapping.direction.receives and mapping.deletes.receive is DeletePolicy.DELETE


def _fields(mapping: BoundMapping) -> Finding:
    """Each line's converter fits the column's type and the CRM field's, else it is a problem with its place."""
    fit = f"{mapping.name}: {len(mapping.every_line)} lines fit columns and CRM fields"
    if not mapping.aside:
        return Finding("fields", Level.OK, fit)
    advice = "bring the field or column back as it was, or change the file"
    return Finding("fields", Level.WARNING, f"{fit}; set aside: {', '.join(mapping.aside)}", advice)


def _triggers(mapping: BoundMapping, found: inspection.Triggers) -> Finding:
    if found.missing:
        message = f"{mapping.name}: {len(found.missing)} capture triggers are missing"
        return Finding("triggers", Level.WARNING, message, "connector run or connector migrate makes them")
    if found.disabled:
        table = f"{quote_ident(mapping.table.schema)}.{quote_ident(mapping.table.name)}"
        names = " ".join(f"ALTER TABLE {table} ENABLE TRIGGER {quote_ident(name)};" for name in found.disabled)
        return Finding("triggers", Level.ERROR, f"{mapping.name}: capture triggers are switched off", names)
    return Finding("triggers", Level.OK, f"{mapping.name}: present and enabled")


async def _indexes(db: Connection, rules: Rules, mapping: BoundMapping) -> AsyncIterator[Finding]:
    """Records look for their rows by the match columns: each rule needs one part that an index finds."""
    shape = rules.shapes[mapping.name]
    for rule in mapping.match if mapping.direction.receives or mapping.match else ():
        expressions = list(_expressions(rule))
        known = [expression for expression in expressions if await inspection.indexed(db, shape, expression)]
        names = "+".join(line.name for line in rule)
        if known or not expressions:
            yield Finding("indexes", Level.OK, f"{mapping.name}: match by {names}")
            continue
        few = await inspection.rows_about(db, shape) <= SMALL
        plain = expressions[0].replace("t.", "", 1)
        advice = f"CREATE INDEX CONCURRENTLY ON {shape.sql_name} (({plain}));"
        message = f"{mapping.name}: no index finds rows by {names}" + ("; the table is small" if few else "")
        yield Finding("indexes", Level.WARNING, message, advice)


def _expressions(rule: Iterable[Line]) -> Iterable[str]:
    for line in rule:
        kind = match.sql_kind(line)
        if kind is not None:
            yield match.SQL[kind].format(f"t.{quote_ident(line.columns[0])}")
