"""The witness: sees everything that is done to the CRM, tells the connector's doing from that of people, lets people pass.

People meet neither the limits nor the faults of the account: their retries would be edits of their own.
"""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.sandbox.api import Condition
from connector.sandbox.calls import Request, Response
from connector.sandbox.commands import Command
from connector.sandbox.limits import Limits
from connector.sandbox.server import Sandbox
from tests.engine.business import PEOPLE

OBJECTS = {"persons": "person", "organizations": "organization", "deals": "deal", "activities": "activity"}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the connector, what it was answered, and the record that it was about before."""

    at: float
    method: str
    path: str
    body: Any
    status: int
    before: Mapping[str, Any] | None
    spent: bool = False
    """The day's budget was."""

    @property
    def object(self) -> str | None:
        """What kind of record it was about."""
        return next((name for path, name in OBJECTS.items() if f"/{path}" in self.path), None)

    @property
    def crm_id(self) -> int | None:
        """The record that it was about."""
        last = self.path.rsplit("/", 1)[-1]
        return int(last) if last.isdigit() else None


@dataclass(frozen=True, slots=True)
class Deed:
    """One change of the CRM, whoever made it."""

    at: float
    ours: bool
    op: str
    args: tuple[Any, ...]


@dataclass(slots=True)
class Witness:
    """Stands before the CRM's API, and in its books."""

    sandbox: Sandbox
    time: Callable[[], float]
    calls: list[Call] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    _answer: Callable[[Request], Response] | None = None
    _ours: bool = False

    def stand(self) -> None:
        """From now on everything is seen."""
        self._answer = self.sandbox.api.answer
        self.sandbox.api.answer = self.answer  # type: ignore[method-assign]
        self.sandbox.api.company.keep = self.keep

    def keep(self, command: Command) -> None:
        """Notes a change."""
        self.deeds.append(Deed(self.time(), self._ours, command.op, command.args))

    def answer(self, request: Request) -> Response:
        """Answers a call as the CRM does."""
        assert self._answer is not None
        if request.headers.get("user-agent") == PEOPLE:
            with self._unhindered():
                return self._answer(request)
        call = Call(self.time(), request.method, request.path, None, 0, None)
        record = self.sandbox.world.get(call.object, call.crm_id) if call.object and call.crm_id else None
        limits = self.sandbox.api.limits
        spent = limits.daily is not None and limits.spent >= limits.daily
        self._ours = True
        try:
            response = self._answer(request)
        finally:
            self._ours = False
        body = json.loads(request.body) if request.body else None
        self.calls.append(Call(call.at, call.method, call.path, body, response.status, record, spent))
        return response

    def writes(self) -> list[Call]:
        """The connector's calls that changed a record, in order."""
        return [c for c in self.calls if c.method != "GET" and c.object is not None and c.status < 300]

    def overrun(self) -> list[Call]:
        """The connector's calls that the burst window refused."""
        return [call for call in self.calls if call.status == 429 and not call.spent]

    @contextlib.contextmanager
    def _unhindered(self) -> Iterator[None]:
        api, world = self.sandbox.api, self.sandbox.world
        before = api.condition, api.limits, world.hidden
        api.condition, api.limits, world.hidden = Condition(), Limits(), defaultdict(set)
        try:
            yield
        finally:
            api.condition, api.limits, world.hidden = before
