"""Writes, one request each: applied with the record as stored, certainly not applied, or in doubt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, assert_never

from connector.core.errors import ConnectorError, RefusedError
from connector.core.model import CrmId, Json, Lane, Record
from connector.crm.errors import GONE, MISSING
from connector.crm.http import NoAnswerError
from connector.crm.pipedrive.bodies import Body, Types, change, creation, written
from connector.crm.pipedrive.client import Call, Client
from connector.crm.pipedrive.kinds import KINDS, Endpoint, Kind
from connector.crm.pipedrive.reading import Reader
from connector.crm.pipedrive.records import proof, record
from connector.ports import Create, Delete, Done, Failed, Operation, Outcome, Unknown, Update

WHOLE: Final = frozenset({"id", "add_time", "update_time"})
"""A body with these, and all that was written, is the record, not a receipt."""


def endpoint(operation: Operation) -> Endpoint:
    """What an operation calls."""
    kind = KINDS[operation.object]
    match operation:
        case Create():
            return kind.create
        case Update():
            return kind.update
        case Delete():
            return kind.delete
    assert_never(operation)


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes records of one account; the budget was charged before."""

    client: Client
    identity: Mapping[str, str]
    types: Mapping[str, Types]
    lane: Lane

    async def write(self, operation: Operation) -> Outcome:
        """The outcome of one operation; raises nothing."""
        try:
            return await (self._delete(operation) if isinstance(operation, Delete) else self._store(operation))
        except NoAnswerError as error:
            return Unknown(error.message)
        except ConnectorError as error:
            return Failed(_in_words_of(operation, error))

    async def _delete(self, operation: Delete) -> Outcome:
        """Deleting what is deleted is done (REFERENCE §13.22)."""
        await self.client.call(
            Call(endpoint(operation), self.lane, id=operation.id, admitted=True, expected=GONE),
        )
        return Done(None)

    async def _store(self, operation: Create | Update) -> Outcome:
        kind = KINDS[operation.object]
        key = operation.id if isinstance(operation, Update) else ""
        body = self._body(kind, operation)
        call = Call(endpoint(operation), self.lane, id=key, body=body, admitted=True)
        data = (await self.client.call(call)).data
        stored = data if isinstance(data, dict) else {}
        if key and proof(stored):
            return Failed(RefusedError(f"{call.endpoint.name}: the record is deleted", code=MISSING))
        if stored.keys() >= WHOLE and stored["update_time"] is not None:
            made = record(kind, stored, self.identity.get(kind.name))
            if written(body) <= made.fields.keys():
                return Done(made)
        key = key or str(stored.get("id") or "")
        return await self._read_back(kind, CrmId(key)) if key else Unknown("applied, no id in the answer")

    def _body(self, kind: Kind, operation: Create | Update) -> Body:
        fields: Mapping[str, Json] = operation.fields
        own = self.identity.get(kind.name)
        if operation.identity is not None and own is not None:
            fields = {**fields, own: operation.identity}
        types = self.types.get(kind.name, {})
        if isinstance(operation, Update):
            return change(kind, fields, operation.seen, types)
        return creation(kind, fields, types)

    async def _read_back(self, kind: Kind, key: CrmId) -> Outcome:
        """The stored record where the answer was not it; a write that cannot be read back stays in doubt."""
        try:
            seen = await Reader(self.client, kind, self.identity.get(kind.name), self.lane).one(key)
        except ConnectorError as error:
            return Unknown(f"applied, not read back: {error.message}")
        return Done(seen) if isinstance(seen, Record) else Unknown("applied, not visible afterwards")


def _in_words_of(operation: Operation, error: ConnectorError) -> ConnectorError:
    """The error with the field that the caller wrote, where the body had another in its place."""
    if not isinstance(error, RefusedError) or isinstance(operation, Delete):
        return error
    if "participants" not in error.fields or "person_id" not in operation.fields:
        return error
    fields = tuple("person_id" if name == "participants" else name for name in error.fields)
    return RefusedError(error.message, fields=fields, code=error.code)
