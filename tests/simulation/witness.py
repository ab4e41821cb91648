"""The witness: sees every call of the CRM, tells the connector's from those of people, and lets people pass.

People meet neither the limits nor the faults of the account: their retries would be edits of their own.
"""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from connector.sandbox.api import Condition
from connector.sandbox.calls import Request, Response
from connector.sandbox.limits import Limits
from connector.sandbox.server import Sandbox
from tests.engine.business import PEOPLE


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the connector, and what it was answered."""

    at: float
    method: str
    path: str
    body: Any
    status: int


@dataclass(slots=True)
class Witness:
    """Stands before the CRM's API."""

    sandbox: Sandbox
    time: Callable[[], float]
    calls: list[Call] = field(default_factory=list)
    _answer: Callable[[Request], Response] | None = None

    def stand(self) -> None:
        """From now on every call is seen."""
        self._answer = self.sandbox.api.answer
        self.sandbox.api.answer = self.answer  # type: ignore[method-assign]

    def answer(self, request: Request) -> Response:
        """Answers a call as the CRM does."""
        assert self._answer is not None
        if request.headers.get("user-agent") == PEOPLE:
            with self._unhindered():
                return self._answer(request)
        response = self._answer(request)
        body = json.loads(request.body) if request.body else None
        self.calls.append(Call(self.time(), request.method, request.path, body, response.status))
        return response

    @contextlib.contextmanager
    def _unhindered(self) -> Iterator[None]:
        api, world = self.sandbox.api, self.sandbox.world
        before = api.condition, api.limits, world.hidden
        api.condition, api.limits, world.hidden = Condition(), Limits(), defaultdict(set)
        try:
            yield
        finally:
            api.condition, api.limits, world.hidden = before
