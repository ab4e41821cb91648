"""Reads by id: singly, or many at once where that is cheaper; absence proves nothing (REFERENCE §5.2, §13)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from connector.core.errors import ForbiddenError
from connector.core.model import CrmId, Gone, Lane, NotVisible, Observed
from connector.crm.errors import GONE
from connector.crm.pipedrive.client import Call, Client
from connector.crm.pipedrive.kinds import Endpoint, Kind
from connector.crm.pipedrive.records import observe
from connector.crm.together import together

BATCH: Final = 100
_ID: Final = re.compile(r"[1-9][0-9]{0,17}")
"""What can be an id at all: anything else would fail the whole request."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads records of one object for one lane."""

    client: Client
    kind: Kind
    identity_key: str | None
    lane: Lane

    async def read(self, ids: Sequence[CrmId]) -> dict[CrmId, Observed]:
        """Each id once.

        `ids=` drops unknown, invisible and archived records alike, so each of those is asked for again: in the next
        list where enough are left to pay for it, at last one by one.
        """
        found: dict[CrmId, Observed] = {key: NotVisible() for key in ids}
        left = [key for key in found if _ID.fullmatch(key)]
        for source in () if self.kind.v1 else self.kind.lists:
            if len(left) * self.kind.single.tokens < source.tokens:
                break
            for answers in await together(self._batch(source, batch) for batch in _batches(left)):
                found |= answers
            left = [key for key in left if isinstance(found[key], NotVisible)]
        return found | await self._singly(left)

    async def _singly(self, ids: Sequence[CrmId]) -> dict[CrmId, Observed]:
        """Each by its own address. A 403 hides one record; where nothing else is answered, the object is forbidden."""
        answers = dict(zip(ids, await together(self._admitted(key) for key in ids), strict=True))
        refusals = [each for each in answers.values() if isinstance(each, ForbiddenError)]
        if refusals and len(refusals) == len(answers):
            raise refusals[0]
        return {key: NotVisible() if isinstance(each, ForbiddenError) else each for key, each in answers.items()}

    async def _admitted(self, key: CrmId) -> Observed | ForbiddenError:
        try:
            return await self.one(key)
        except ForbiddenError as refusal:
            return refusal

    async def one(self, key: CrmId) -> Observed:
        """A record by its own address: 404 says nothing, 410 and the body's flags prove deletion."""
        reply = await self.client.call(Call(self.kind.single, self.lane, id=key, expected=GONE))
        if reply.status == HTTPStatus.GONE:
            return Gone("410")
        if reply.status == HTTPStatus.NOT_FOUND or not isinstance(reply.data, dict):
            return NotVisible()
        return observe(self.kind, reply.data, self.identity_key)

    async def _batch(self, source: Endpoint, ids: Sequence[CrmId]) -> dict[CrmId, Observed]:
        params = {"ids": ",".join(ids), "limit": str(BATCH)}
        reply = await self.client.call(Call(source, self.lane, params=params, expected=self.kind.may_lack(source)))
        rows = {CrmId(str(row.get("id"))): row for row in reply.rows}
        return {key: observe(self.kind, rows[key], self.identity_key) for key in ids if key in rows}


def _batches(ids: Sequence[CrmId]) -> Iterator[Sequence[CrmId]]:
    return (ids[at : at + BATCH] for at in range(0, len(ids), BATCH))
