"""One connection in this process: waits for its turn, owns it, follows changes of schema and files, lets it go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from connector.app.doors import Doorway
from connector.app.homes import refuse_strangers
from connector.app.identities import make_identities
from connector.app.sets import (
    Account,
    Answers,
    LoadedSet,
    load_directory,
    make_crm,
    refuse_errors,
    refuse_move,
    same_client,
)
from connector.config.loader import read_files
from connector.core.errors import (
    ConnectorError,
    MappingSetError,
    NotOwnerError,
)
from connector.core.identity import Role
from connector.core.model import CrmId
from connector.core.pins import Pins
from connector.core.schema import Metadata
from connector.engine import owner
from connector.engine.clock import Clock
from connector.engine.context import Context, Rules
from connector.engine.guard import SchemaGuard, release
from connector.engine.recognition import recognise
from connector.engine.rota import Held, Rota
from connector.engine.rotation import Address
from connector.engine.rules import METADATA, PINS, look_again, make_rules, prepare_tables, read_definitions
from connector.engine.tenure import Tenure
from connector.obs.metrics import Metrics
from connector.ports import CRM
from connector.store import budgets, connections, lease, roles, sweeps
from connector.store.cipher import Cipher
from connector.store.connections import ConnectionRow
from connector.store.db import AWAY, Database, Fence
from connector.store.resealing import account_name

log = structlog.get_logger()
BEGIN_ANEW, TRY_CRM = 0.5, 2.0
LAND_WITHIN = 5.0
RELOAD, SYNC = 1.0, 600.0


@dataclass(slots=True)
class Shared:
    """What all connections of a process share."""

    database: Database
    clock: Clock
    metrics: Metrics
    cipher: Cipher
    rota: Rota
    public_url: str | None = None


@dataclass(slots=True)
class Running:
    """One connection of this process."""

    shared: Shared
    loaded: LoadedSet
    account: Account
    crm: CRM
    answers: Answers
    doorway: Doorway = field(init=False)
    watch_files: bool = True
    context: Context | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the connection works for the first time."""
    looked_at: Mapping[str, str] | None = None
    """The edited files as they were last looked at, whatever came of it."""
    complaint: str = ""
    renewed: bool = False
    """Set when connection.yaml was edited so that the connection begins anew, with another client."""
    before: Pins = field(default_factory=Pins)
    """The pins as this process found them."""
    held: Held | None = None
    """The lease that this process had last, and until when it ran."""
    ending: bool = False
    """Set at shutdown: a session that is cut while its task is cancelled raises its own error instead, and the task must
    end all the same. `Task.cancelling` cannot tell: before Python 3.13 a failed TaskGroup leaves it raised.
    """

    def __post_init__(self) -> None:
        """The door is closed until `register`."""
        self.doorway = Doorway(self.loaded.name, self.shared.cipher, lambda: self.crm)

    @classmethod
    def make(cls, shared: Shared, loaded: LoadedSet, account: Account, *, watch_files: bool = True) -> Running:
        """The connection of a set."""
        answers = Answers()
        crm = make_crm(loaded, account, shared.clock, shared.metrics, answers)
        return cls(shared, loaded, account, crm, answers, watch_files)

    async def run(self) -> None:
        """Owns the connection whenever it can, until cancelled. MappingSetError ends it at the first start."""
        try:
            while True:
                try:
                    await self._once()
                except (NotOwnerError, *AWAY) as error:
                    log.warning("connection.left", connection=self.loaded.name, error=error)
                    self.context = None
                    if self.ending:
                        raise asyncio.CancelledError from None
                    if self.renewed:
                        await self._renew()
                    else:
                        await self.shared.clock.sleep(BEGIN_ANEW)
        finally:
            await self.crm.close()

    async def _renew(self) -> None:
        """Another client for the CRM, as the edited connection.yaml wants it."""
        await self.crm.close()
        self.crm = make_crm(self.loaded, self.account, self.shared.clock, self.shared.metrics, self.answers)
        self.renewed = False

    async def drain(self, seconds: float) -> None:
        """Takes up nothing more and waits for what is in flight, so that no CRM write stays without its answer."""
        self.ending = True
        if self.context is not None:
            await self._land(self.context, seconds)

    async def _land(self, context: Context, seconds: float) -> None:
        context.gates.draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await context.flight.landed()

    async def _once(self) -> None:
        row = await self._row()
        fence, went_back = await self.shared.rota.take(self.loaded.name, self.held)
        tenure = Tenure(self.shared.rota.database, self.shared.clock, fence)
        try:
            await tenure.during(self._own(fence, tenure, row, went_back=went_back))
        finally:
            self.held, self.context = (fence, tenure.until), None
            await self._release(fence, tenure.until)

    async def _own(self, fence: Fence, tenure: Tenure, row: ConnectionRow, *, went_back: bool) -> None:
        """Prepares and works. The lease is renewed from the beginning: a CRM or a table may have us wait for long."""
        await self._take_over()
        now = self.shared.clock.now()
        stand = await recognise(self.shared.database, fence, now, salt=row.salt, went_back=went_back)
        rules = await self._prepare(fence, row, stand.role)
        self.context = Context(
            self.loaded.name, self.crm, self.shared.database, self.shared.clock, self.shared.metrics, rules, fence,
            row.salt, stand.signature, tenure, failures=self.answers.failures,
        )  # fmt: skip
        async with self.shared.database.session() as db:
            self.context.known_intent = await roles.last_intent(db)
        self.before = PINS.validate_json(row.pins)
        await self._sync_clock(self.context)
        await owner.work(owner.assemble(self.context, self.address, self.shared.cipher), self._follow)

    async def _take_over(self) -> None:
        """Goes on from what was spent of the CRM's budget before."""
        async with self.shared.database.session() as db:
            spending = await budgets.load(db, self.loaded.name)
        if spending is not None:
            self.crm.resume(spending)

    async def _release(self, fence: Fence, until: datetime) -> None:
        try:
            async with asyncio.timeout(2), self.shared.database.transaction(fence) as db:
                spending = self.crm.spending()
                if spending is not None:
                    await budgets.save(db, self.loaded.name, spending, self.shared.clock.now())
                await lease.release(db, fence, until)
            self.held = None
        except (TimeoutError, NotOwnerError, *AWAY):
            log.info("lease.left_to_expire", connection=self.loaded.name)

    # --- what every replica needs ------------------------------------------------------------------------------------

    async def register(self) -> None:
        """From now on webhooks can be answered; SecretError when the stored password cannot be read."""
        await self._row()
        await self.doorway.prepare(self.shared.database, self.shared.clock.now())

    async def _row(self) -> ConnectionRow:
        spec = self.loaded.spec.connection
        async with self.shared.database.transaction() as db:
            return await connections.ensure(db, spec.name, spec.crm)

    @property
    def address(self) -> Address | None:
        """Where and as whom the CRM delivers; None while it cannot reach us."""
        return self.doorway.address(self.shared.public_url)

    # --- rules -------------------------------------------------------------------------------------------------------

    async def _prepare(self, fence: Fence, row: ConnectionRow, role: Role) -> Rules:
        """Rules from the CRM's definitions, or from those last known; tables prepared."""
        metadata, pins = await self._definitions(fence, row), PINS.validate_json(row.pins)
        await self._catch_up(metadata, pins)
        async with self.shared.database.session() as db:
            version = await connections.applied_version(db, self.loaded.name)
        applied = version == self.loaded.spec.version
        rules = await make_rules(self.shared.database, self.loaded.spec, metadata, pins, applied=applied)
        if not applied:
            refuse_errors(rules)
        if not role.aside and await make_identities(self.crm, self.shared.clock, rules):
            metadata = await self._definitions(fence, replace(row, metadata=None))
            rules = await make_rules(self.shared.database, self.loaded.spec, metadata, pins, applied=applied)
        await refuse_strangers(self.shared.database, self.loaded.spec)
        rules = await self._apply(fence, rules)
        await self._look_again(fence, row, rules, edited=not applied and version is not None)
        return rules

    async def _catch_up(self, metadata: Metadata, pins: Pins) -> None:
        """Takes over what was edited while another owned the connection; his files may be newer than those we began with."""
        try:
            edited = await self._edited()
            if edited is None:
                return
            refuse_errors(await make_rules(self.shared.database, edited.spec, metadata, pins))
        except MappingSetError as error:
            self._complain(error)
            return
        self.renewed, self.loaded, self.complaint = not same_client(self.loaded, edited), edited, ""
        if self.renewed:
            raise NotOwnerError("connection.yaml changed: the connection begins anew")

    async def _edited(self) -> LoadedSet | None:
        """The set as its files are now; None when they are as they were last looked at."""
        files = await asyncio.to_thread(read_files, self.loaded.directory) if self.watch_files else self.loaded.files
        if files in (self.loaded.files, self.looked_at):
            return None
        self.looked_at = files
        edited = await asyncio.to_thread(load_directory, self.loaded.directory)
        refuse_move(self.loaded, edited)
        await refuse_strangers(self.shared.database, edited.spec)
        return edited

    async def _look_again(self, fence: Fence, row: ConnectionRow, rules: Rules, *, edited: bool) -> None:
        """What the set or the CRM's definitions let pass that changed while nobody was here."""
        now = self.shared.clock.now()
        if edited:
            async with self.shared.database.transaction(fence) as db:
                await sweeps.ask(db, self.loaded.name, "full", now)
                await release(db, self.loaded.name, now)
            return
        known = METADATA.validate_json(row.metadata) if row.metadata is not None else rules.metadata
        pins = PINS.validate_json(row.pins)
        before = await make_rules(self.shared.database, self.loaded.spec, known, pins, applied=True)
        async with self.shared.database.transaction(fence) as db:
            await look_again(db, before, rules, now)

    async def _definitions(self, fence: Fence, row: ConnectionRow) -> Metadata:
        while True:
            try:
                metadata = await read_definitions(self.crm, self.shared.clock)
                account = await self.crm.account()
            except ConnectorError as error:
                if row.metadata is not None:
                    known = METADATA.validate_json(row.metadata)
                    self.crm.recall(known)
                    return known
                log.warning("crm.away", connection=self.loaded.name, error=error)
                await self.shared.clock.sleep(TRY_CRM)
                continue
            async with self.shared.database.transaction(fence) as db:
                text = METADATA.dump_json(metadata).decode()
                pages = {name: self.crm.link_url(name, CrmId("")) for name in metadata.fields}
                facts = {"url": account.url, "company": account.company, "user": account.user, "pages": pages}
                await connections.save_metadata(db, self.loaded.name, text, facts, self.shared.clock.now())
            return metadata

    async def _apply(self, fence: Fence, rules: Rules) -> Rules:
        """Keeps the set and prepares its tables; the rules that can be worked with now."""
        now = self.shared.clock.now()
        async with self.shared.database.transaction(fence) as db:
            await connections.save_mappings(db, self.loaded.name, self.loaded.spec.mappings, now)
            await connections.save_set(
                db,
                self.loaded.name,
                version=self.loaded.spec.version,
                files=self.loaded.kept,
                directory=str(self.loaded.directory),
                now=now,
            )
            sealed = self.shared.cipher.encrypt(
                f"{self.account.url or ''}\n{self.account.api_token}", account_name(self.loaded.name)
            )
            await connections.save_credentials(db, self.loaded.name, sealed)
            await connections.save_pins(db, self.loaded.name, PINS.dump_json(rules.bound.pins).decode())
        prepared = await prepare_tables(self.shared.database, fence, rules, now)
        return prepared.rules

    # --- while it runs -----------------------------------------------------------------------------------------------

    async def _follow(self, context: Context) -> None:
        """Follows edits of the mapping files, changes of both schemas and the CRM's clock."""
        self.ready.set()
        guard, synced = SchemaGuard(context, self.before), self.shared.clock.monotonic()
        while True:
            await self.shared.clock.sleep(RELOAD)
            await self._share(context)
            await self._reload(context)
            await guard.step()
            if self.shared.clock.monotonic() - synced > SYNC:
                synced = self.shared.clock.monotonic()
                await self._sync_clock(context)

    async def _share(self, context: Context) -> None:
        """Leaves the connection to a replica that owns fewer."""
        if self.shared.rota.gives(context.name):
            await self._land(context, LAND_WITHIN)
            raise NotOwnerError("left to a replica that owns fewer connections")

    async def _reload(self, context: Context) -> None:
        """Takes over edited files; a bad file keeps the old set running and says so, once."""
        try:
            edited = await self._edited()
            if edited is None:
                return
            rules = await self._edited_rules(context, edited)
        except MappingSetError as error:
            self._complain(error)
            return
        self.renewed = not same_client(self.loaded, edited)
        self.loaded, self.complaint = edited, ""
        context.rules = await self._apply(context.fence, rules)
        async with self.shared.database.transaction(context.fence) as db:
            await sweeps.ask(db, context.name, "full", self.shared.clock.now())
            await release(db, context.name, self.shared.clock.now())
        log.info("mappings.reloaded", connection=context.name)
        if self.renewed:
            await self._land(context, LAND_WITHIN)
            raise NotOwnerError("connection.yaml changed: the connection begins anew")

    async def _edited_rules(self, context: Context, edited: LoadedSet) -> Rules:
        """The rules of edited files; what they name may be younger than the definitions that we know."""
        pins = context.rules.bound.pins
        rules = await make_rules(self.shared.database, edited.spec, context.rules.metadata, pins)
        if rules.errors:
            with contextlib.suppress(ConnectorError):
                metadata = await read_definitions(self.crm, self.shared.clock)
                rules = await make_rules(self.shared.database, edited.spec, metadata, pins)
        refuse_errors(rules)
        return rules

    def _complain(self, error: MappingSetError) -> None:
        if error.message != self.complaint:
            self.complaint = error.message
            for problem in error.problems:
                log.error("mappings.refused", connection=self.loaded.name, error=MappingSetError((problem,)))

    async def _sync_clock(self, context: Context) -> None:
        try:
            await context.hear_clock()
        except ConnectorError as error:
            context.failures.note(error)
