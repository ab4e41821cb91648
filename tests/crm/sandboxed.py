"""The Pipedrive adapter in a sandbox of its own: real HTTP on loopback, a clock that tests hold."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aiohttp import web
from aiohttp.test_utils import TestServer

from connector.core.model import CrmId, Json, Lane
from connector.crm.clock import Clock
from connector.crm.pipedrive.adapter import PipedriveCRM
from connector.sandbox.company import Clock as SandboxClock
from connector.sandbox.model import Actor
from connector.sandbox.server import Sandbox, Settings, running

UNKNOWN: Final = CrmId("987654321")
STEP: Final = timedelta(seconds=5)
BEGAN: Final = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
TEXTS: Final = {"person": "name", "organization": "name", "deal": "title", "activity": "subject", "note": "content"}


@dataclass(slots=True)
class Hand:
    """A clock that stands still until a test moves it."""

    at: datetime = BEGAN

    def __call__(self) -> datetime:
        """The time now."""
        return self.at


class Inbox:
    """Takes webhook deliveries."""

    def __init__(self) -> None:
        self.received: list[tuple[Mapping[str, str], bytes]] = []

    async def take(self, request: web.Request) -> web.Response:
        """Keep one delivery."""
        self.received.append((dict(request.headers), await request.read()))
        return web.Response()

    def drain(self) -> list[tuple[Mapping[str, str], bytes]]:
        """Deliveries since last asked."""
        taken, self.received = self.received, []
        return taken


@dataclass(slots=True)
class PipedriveSubject:
    """One object of a sandboxed account, and a colleague who works in the web app."""

    crm: PipedriveCRM
    sandbox: Sandbox
    clock: Hand
    inbox: Inbox
    inbox_url: str
    object: str = "person"
    unknown: CrmId = UNKNOWN
    subscribed: bool = field(default=False)

    @property
    def text(self) -> str:
        """The text field."""
        return TEXTS[self.object]

    @property
    def bad(self) -> Mapping[str, Json]:
        """A user who is not there."""
        return {"user_id" if self.object == "note" else "owner_id": 987654321}

    def sample(self, text: str) -> Mapping[str, Json]:
        """Fields of a new record; a note needs somebody to be about."""
        parent = {"person_id": next(iter(self.sandbox.world.tables["person"].live()))["id"]}
        return {self.text: text, **(parent if self.object == "note" else {})}

    def tick(self) -> datetime:
        """Seconds pass."""
        self.clock.at += STEP
        return self.clock.at

    async def make(self, *texts: str) -> Sequence[CrmId]:
        """A colleague makes records."""
        made = [await self.do(f"{self.object}.create", dict(self.sample(text))) for text in texts]
        return [CrmId(str(each["id"])) for each in made]

    async def edit(self, crm_id: CrmId, text: str) -> None:
        """A colleague edits a record."""
        await self.do(f"{self.object}.update", int(crm_id), {self.text: text})

    async def remove(self, crm_id: CrmId) -> None:
        """A colleague deletes a record."""
        await self.do(f"{self.object}.delete", int(crm_id))

    async def hide(self, crm_id: CrmId) -> None:
        """An admin takes the record out of our sight."""
        user, hidden = next(iter(self.sandbox.world.users)), [[self.object, int(crm_id)]]
        await self.do("sandbox.hide", user, hidden, True)  # noqa: FBT003  # the sandbox's own order

    async def deliveries(self) -> Sequence[tuple[Mapping[str, str], bytes]]:
        """Webhooks since last asked."""
        if not self.subscribed:
            await self.crm.subscribe(self.inbox_url, "hook", "secret", lane=Lane.MANUAL)
            self.subscribed = True
        return self.inbox.drain()

    async def do(self, operation: str, *args: Any) -> Any:
        """Run a command of the sandbox as a colleague; its webhooks have arrived afterwards."""
        done = self.sandbox.api.company.do(Actor(list(self.sandbox.world.users)[-1], "app"), operation, *args)
        for first in self.sandbox.deliverer.pump():
            await first.wait()
        return done


@asynccontextmanager
async def account(**options: Any) -> AsyncIterator[PipedriveSubject]:
    """An adapter with an account of its own; `options` are those of PipedriveCRM."""
    hand, inbox = Hand(), Inbox()
    app = web.Application()
    app.router.add_post("/hook", inbox.take)
    settings = Settings(records=3, clock=SandboxClock(source=hand))
    async with TestServer(app) as server, running(settings) as sandbox:
        sandbox.deliverer.policy.before_response = True
        defaults = {"url": sandbox.url, "api_token": sandbox.token, "clock": Clock(hand), "burst": 10_000}
        crm = PipedriveCRM(**{**defaults, **options})
        try:
            yield PipedriveSubject(crm, sandbox, hand, inbox, str(server.make_url("/hook")))
        finally:
            await crm.close()
