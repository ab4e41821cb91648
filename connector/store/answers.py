"""What became of a request, for the one who waits for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connector.store.db import Connection


@dataclass(frozen=True, slots=True)
class Answer:
    """A request as it stands. `result` is empty until it is done or failed."""

    state: str
    progress: Mapping[str, Any]
    result: Mapping[str, Any]

    @property
    def ended(self) -> bool:
        """True once nothing more will come."""
        return self.state in ("done", "failed")


async def of_request(db: Connection, request: int) -> Answer:
    """How far a request is; one that nobody knows has failed."""
    row = await db.fetchrow("select state, progress, result from connector.request where id = $1", request)
    if row is None:
        return Answer("failed", {}, {"error": "the request is gone"})
    return Answer(row["state"], json.loads(row["progress"]), json.loads(row["result"] or "{}"))


async def withdraw(db: Connection, request: int) -> None:
    """Forgets a request that nobody has taken up."""
    await db.execute("delete from connector.request where id = $1 and state = 'queued'", request)
