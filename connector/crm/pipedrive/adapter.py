"""Pipedrive as the engine sees a CRM: one account behind the port."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from typing import Final

from connector.core.errors import ForbiddenError, RefusedError
from connector.core.mapping import Access, BudgetSpec
from connector.core.model import CrmId, Json, Lane, Observed
from connector.core.schema import CrmField, FieldType, Metadata
from connector.crm.budget import Limiter
from connector.crm.clock import Clock
from connector.crm.errors import GONE, MISSING
from connector.crm.http import Http, Timeouts
from connector.crm.pipedrive import fields, paging, webhooks
from connector.crm.pipedrive.client import Call, Client, Observe
from connector.crm.pipedrive.history import last_changes
from connector.crm.pipedrive.kinds import (
    ACTIVITY_TYPES,
    KINDS,
    ME,
    NOTHING,
    PIPELINES,
    STAGES,
    SUBSCRIBE,
    UNSUBSCRIBE,
    USERS,
    WEBHOOKS,
    Endpoint,
)
from connector.crm.pipedrive.paging import Walk
from connector.crm.pipedrive.reading import Reader
from connector.crm.pipedrive.spellings import parse
from connector.crm.pipedrive.urls import addresses
from connector.crm.pipedrive.writing import Writer, endpoint
from connector.crm.together import together
from connector.ports import (
    Account,
    Capabilities,
    Hint,
    Operation,
    Outcome,
    Page,
    Spending,
    Subscription,
    VersionOrder,
    Window,
)

UNKNOWN_CLOCK: Final = 60.0
"""How wrong the offset of the clocks may be in seconds where answers carry no date."""


def unobserved(_endpoint: str, _status: int, _seconds: float, _tokens: float, _lane: Lane) -> None:
    """Counts nothing."""


class PipedriveCRM:
    """One account. Implements `ports.CRM`.

    `identity_field` is the name of the text field that carries our key, `identity_keys` its keys per object as far as
    known from earlier; `metadata` and `ensure_identity` find them anew.
    """

    def __init__(
        self,
        *,
        api_token: str,
        clock: Clock,
        url: str | None = None,
        access: Access = Access.READ_WRITE,
        budget: BudgetSpec | None = None,
        burst: int = 20,
        identity_field: str | None = "Connector ID",
        identity_keys: Mapping[str, str] | None = None,
        observe: Observe = unobserved,
        timeouts: Timeouts | None = None,
    ) -> None:
        spec = budget or BudgetSpec()
        limiter = Limiter(clock, daily=spec.daily, reserve=spec.reserve, burst=burst)
        http = Http({"x-api-token": api_token}, timeouts=timeouts)
        self._read_only = access is Access.READ_ONLY
        self._client = Client(http, limiter, addresses(url), clock=clock, observe=observe, read_only=self._read_only)
        self._identity_field = identity_field
        self._identity = dict(identity_keys or {})
        self._types: dict[str, Mapping[str, FieldType]] = {}

    def capabilities(self, name: str, /) -> Capabilities:
        """What can be done with the object."""
        kind = KINDS.get(name)
        return NOTHING if kind is None else kind.capabilities(write=not self._read_only)

    async def account(self) -> Account:
        """Whose token it is (2 tokens); afterwards links lead to the company's own pages."""
        data = await self._me(Lane.MANUAL)
        domain = data.get("company_domain")
        if isinstance(domain, str) and domain:
            self._client.move(self._client.addresses.of_company(domain))
        clock = self._client.server_clock
        return Account(
            company=str(data.get("company_id") or domain or ""),
            user=str(data.get("id") or ""),
            url=self._client.addresses.web,
            clock_offset=clock.offset,
            clock_error=min(clock.error, UNKNOWN_CLOCK),
        )

    async def metadata(self, *, lane: Lane) -> Metadata:
        """All definitions (92 tokens where no list is longer than a page)."""
        names = list(KINDS)
        me = await self._me(lane)
        definitions, (pipelines, stages), (users, types) = (
            await together(self._definitions(name, lane) for name in names),
            await together(self._visible(paging.every(self._client, Call(each, lane))) for each in (PIPELINES, STAGES)),
            await together(self._visible(self._rows(each, lane)) for each in (USERS, ACTIVITY_TYPES)),
        )
        described = {name: fields.describe(name, found, types) for name, found in zip(names, definitions, strict=True)}
        self._types = {name: {each.key: each.type for each in known} for name, known in described.items()}
        self._identity = self._identities(described)
        return Metadata(
            fields=described,
            pipelines={str(row.get("id")): str(row.get("name")) for row in fields.alive(pipelines)},
            stages=tuple(fields.stage(row) for row in fields.alive(stages)),
            users=tuple(fields.user(row) for row in users),
            identity=dict(self._identity),
            me=str(me["id"]) if "id" in me else None,
            needs={name: kind.needs for name, kind in KINDS.items()},
        )

    def recall(self, metadata: Metadata, /) -> None:
        """Without the field types and identity keys, records would be read as nobody's and written in wrong types."""
        self._types = {name: {each.key: each.type for each in known} for name, known in metadata.fields.items()}
        self._identity = dict(metadata.identity)

    async def read(self, name: str, ids: Sequence[CrmId], *, lane: Lane) -> Mapping[CrmId, Observed]:
        """Each of the ids, exactly once."""
        return await Reader(self._client, KINDS[name], self._identity.get(name), lane).read(ids)

    async def listing(self, name: str, cursor: str | None, *, lane: Lane) -> Page:
        """All records by id; of deals first the ones in use, then the archived."""
        return await paging.page(self._client, Walk(KINDS[name], self._identity.get(name), lane), cursor)

    async def changed(
        self, name: str, since: datetime, cursor: str | None, *, lane: Lane, past_reserve: bool = False
    ) -> Page:
        """Records by update time; of deals the ones in use, then the archived, then the deleted of the last 30 days."""
        identity = self._identity.get(name)
        walk = Walk(KINDS[name], identity, lane, since=since, past_reserve=past_reserve)
        return await paging.page(self._client, walk, cursor)

    async def history(self, name: str, ids: Sequence[CrmId], *, lane: Lane) -> Mapping[CrmId, Mapping[str, datetime]]:
        """By changelog, 20 tokens a record."""
        called = KINDS[name].history
        if called is None:
            return {}
        found = await together(last_changes(self._client, called, key, lane) for key in ids)
        return dict(zip(ids, found, strict=True))

    async def admit(self, operation: Operation, *, lane: Lane) -> None:
        """Waits for the operation's turn and charges its price."""
        called = endpoint(operation)
        self._client.permit(called)
        await self._client.limiter.admit(called.tokens, lane)

    async def write(self, operations: Sequence[Operation], *, lane: Lane) -> Sequence[Outcome]:
        """All at once, one request each; ReadOnlyError before anything leaves where the connection is read-only."""
        for operation in operations:
            self._client.permit(endpoint(operation))
        writer = Writer(self._client, self._identity, self._types, lane)
        return await together(writer.write(operation) for operation in operations)

    def compare(self, one: str | None, other: str | None, /) -> VersionOrder:
        """Versions are update times; two edits within one second have the same."""
        first, second = parse(one), parse(other)
        if first is None or second is None:
            return VersionOrder.UNKNOWN
        if first == second:
            return VersionOrder.SAME
        return VersionOrder.OLDER if first < second else VersionOrder.NEWER

    def received(self, headers: Mapping[str, str], body: bytes, /) -> Sequence[Hint]:  # noqa: ARG002  # all is in the body
        """The one hint of a delivery."""
        return (webhooks.hint(body, self._identity),)

    async def subscriptions(self, *, lane: Lane) -> Sequence[Subscription]:
        """All webhook subscriptions that this token may see."""
        return [_subscription(row) for row in await self._rows(WEBHOOKS, lane)]

    async def subscribe(self, url: str, user: str, password: str, *, lane: Lane) -> Subscription:
        """One subscription for every event of every object (REFERENCE §12.1)."""
        body: dict[str, Json] = {
            "name": "Connector",
            "subscription_url": url,
            "event_action": "*",
            "event_object": "*",
            "version": "2.0",
            "http_auth_user": user,
            "http_auth_password": password,
        }
        try:
            made = (await self._client.call(Call(SUBSCRIBE, lane, body=body))).data
        except (RefusedError, ForbiddenError) as error:
            raise webhooks.refused(error) from error
        return _subscription({**body, **(made if isinstance(made, dict) else {})})

    async def unsubscribe(self, subscription: str, *, lane: Lane) -> None:
        """Ends a subscription; one that is gone is fine."""
        await self._client.call(Call(UNSUBSCRIBE, lane, id=subscription, expected=GONE))

    async def ensure_identity(self, name: str, field_name: str, *, lane: Lane) -> bool:
        """Finds the custom text field of this name or makes it (10 or 15 tokens).

        False where that is not allowed, or a field of another type has the name.
        """
        kind = KINDS[name]
        if kind.identity is None:
            return False
        if kind.fields is None:
            return False
        try:
            known = await paging.every(self._client, Call(kind.fields, lane))
        except ForbiddenError:
            return False
        same = fields.named(known, field_name)
        made = next((each for each in same if fields.is_text(each)), None)
        if made is None and not same:
            made = await self._make_field(kind.identity, field_name, lane)
        if made is None:
            return False
        self._identity_field = field_name
        self._identity[name] = str(made.get("field_code"))
        return True

    def budget(self) -> Sequence[Window]:
        """The burst window in requests, and the day's in tokens once a limit is known."""
        return self._client.limiter.windows()

    def spending(self) -> Spending:
        """What was spent today, by this process and those before it."""
        return self._client.limiter.spending()

    def resume(self, spending: Spending, /) -> None:
        """Takes over what an earlier process spent."""
        self._client.limiter.resume(spending)

    def link_url(self, name: str, crm_id: CrmId, /) -> str:
        """Where a person opens the record."""
        return self._client.addresses.page(name, crm_id)

    async def close(self) -> None:
        """Ends all connections."""
        await self._client.close()

    async def _me(self, lane: Lane) -> Mapping[str, Json]:
        """The caller. Asked for before everything else of v1, for an emulator may have only its other address."""
        reply = await self._client.call(Call(ME, lane, expected=GONE))
        if reply.status in GONE:
            self._client.move(self._client.addresses.elsewhere())
            reply = await self._client.call(Call(ME, lane))
        return reply.data if isinstance(reply.data, dict) else {}

    async def _definitions(self, name: str, lane: Lane) -> Sequence[fields.Definition]:
        """Field definitions of an object; of what cannot be seen the built-in ones are known."""
        called = KINDS[name].fields
        return () if called is None else await self._visible(paging.every(self._client, Call(called, lane)))

    @staticmethod
    async def _visible(rows: Awaitable[Sequence[Mapping[str, Json]]]) -> Sequence[Mapping[str, Json]]:
        """The rows; none where the token may not see them, or there is no such list."""
        try:
            return await rows
        except ForbiddenError:
            return ()
        except RefusedError as error:
            if error.code != MISSING:
                raise
            return ()

    async def _rows(self, called: Endpoint, lane: Lane) -> Sequence[Mapping[str, Json]]:
        """The rows of a v1 answer without pages."""
        return (await self._client.call(Call(called, lane))).rows

    async def _make_field(self, called: Endpoint, field_name: str, lane: Lane) -> fields.Definition | None:
        self._client.permit(called)
        body: dict[str, Json] = {"field_name": field_name, "field_type": "varchar"}
        try:
            made = (await self._client.call(Call(called, lane, body=body))).data
        except (ForbiddenError, RefusedError):
            return None
        return made if isinstance(made, dict) and made.get("field_code") else None

    def _identities(self, described: Mapping[str, Sequence[CrmField]]) -> dict[str, str]:
        """The key of the identity field by object, where it has one.

        The known one as long as it exists, whatever its name is now, else the first text field of the configured name.
        """
        found: dict[str, str] = {}
        for name, known in described.items():
            texts = [e for e in known if e.custom and e.type in (FieldType.TEXT, FieldType.LONG_TEXT)]
            kept = [each.key for each in texts if each.key == self._identity.get(name)]
            named = [each.key for each in texts if each.name == self._identity_field]
            if kept or named:
                found[name] = (kept or named)[0]
        return found


def _subscription(row: Mapping[str, Json]) -> Subscription:
    action, status = row.get("event_action"), row.get("last_http_status")
    every_object = str(row.get("event_object"))
    return Subscription(
        id=str(row.get("id")),
        url=str(row.get("subscription_url")),
        objects=every_object if action == "*" else f"{every_object}:{action}",
        active=row.get("is_active") not in (False, 0, "0"),
        last_status=status if isinstance(status, int) else None,
    )
