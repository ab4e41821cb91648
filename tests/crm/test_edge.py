"""The edge: what the network and the statuses become, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from connector.core.errors import (
    AccountExpiredError,
    ConnectorError,
    ForbiddenError,
    RateLimitedError,
    ReadOnlyError,
    RefusedError,
    UnauthorisedError,
    UnavailableError,
)
from connector.core.mapping import Access
from connector.core.model import CrmId, Lane, Record
from connector.crm.clock import Clock
from connector.crm.http import Http, NoAnswerError, Timeouts
from connector.crm.pipedrive.adapter import PipedriveCRM
from connector.ports import Create, Delete, Done, Failed, Operation, Outcome, Unknown, Update
from tests.ports import free_port

SECRET = "0123456789abcdef0123456789abcdef01234567"
VALUE = "ada-canary@example.test"
NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
HTML = "<!DOCTYPE html><html><title>Access denied | Cloudflare</title></html>"
HASH = "a" * 40
SEEN = Record("person", CrmId("7"), {"id": 7, "name": "Before"})
UPDATE = Update("person", CrmId("7"), {"name": VALUE, HASH: VALUE}, SEEN)
CREATE = Create("person", {"name": VALUE})
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Observed:
    """What the metrics hook was told."""

    calls: list[tuple[str, int, float, Lane]] = field(default_factory=list)

    def __call__(self, endpoint: str, status: int, _seconds: float, tokens: float, lane: Lane) -> None:
        """Keep one call."""
        self.calls.append((endpoint, status, tokens, lane))


@asynccontextmanager
async def answering(
    handler: Handler, *, access: Access = Access.READ_WRITE, observe: Observed | None = None
) -> AsyncIterator[PipedriveCRM]:
    """An adapter before a server that answers with `handler`."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    async with TestServer(app) as server:
        crm = PipedriveCRM(
            url=str(server.make_url("")),
            api_token=SECRET,
            access=access,
            clock=Clock(lambda: NOW),
            timeouts=Timeouts(connect=1, total=0.3),
            observe=observe or Observed(),
        )
        try:
            yield crm
        finally:
            await crm.close()


def always(
    status: int, body: object = None, *, text: str | None = None, headers: dict[str, str] | None = None
) -> Handler:
    """The same answer to everything."""

    async def handler(_request: web.Request) -> web.Response:
        if text is not None:
            return web.Response(status=status, text=text, content_type="text/html", headers=headers)
        return web.json_response(body, status=status, headers=headers)

    return handler


async def hang(_request: web.Request) -> web.Response:
    """Never answers."""
    await asyncio.Event().wait()
    raise AssertionError


async def cut(request: web.Request) -> web.Response:
    """Reads the request and hangs up."""
    await request.read()
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def one(crm: PipedriveCRM, operation: Operation) -> Outcome:
    """The outcome of one operation."""
    (outcome,) = await crm.write([operation], lane=Lane.LIVE)
    return outcome


REFUSED = {"success": False, "error": f"Validation failed: name: {VALUE} is bad; {HASH}: {VALUE}", "code": "ERR_X"}
TABLE = [
    (401, {"success": False, "error": "unauthorized access", "errorCode": 401}, UnauthorisedError),
    (402, {"success": False, "error": f"not open {VALUE}"}, AccountExpiredError),
    (403, {"success": False, "error": VALUE, "code": "feature_capping_deals_limit"}, ForbiddenError),
    (405, {"success": False}, ForbiddenError),
    (415, {"success": False}, ForbiddenError),
    (501, {"success": False}, ForbiddenError),
    (400, REFUSED, RefusedError),
    (422, {"status": "error", "errors": {"name": [VALUE]}}, RefusedError),
    (409, {"success": False}, RefusedError),
    (302, {}, UnavailableError),
    (408, {}, UnavailableError),
]


@pytest.mark.parametrize(("status", "body", "error"), TABLE)
async def test_a_refused_write_has_certainly_not_happened(
    status: int, body: dict[str, object], error: type[ConnectorError]
) -> None:
    """Each status becomes what the caller must do, without a value or the token in its text."""
    async with answering(always(status, body)) as crm:
        outcome = await one(crm, UPDATE)
    assert isinstance(outcome, Failed)
    assert type(outcome.error) is error
    assert VALUE not in str(outcome.error)
    assert SECRET not in str(outcome.error)


@pytest.mark.parametrize(("status", "body", "error"), TABLE)
async def test_a_read_raises_the_same(status: int, body: dict[str, object], error: type[ConnectorError]) -> None:
    """Reads fail as a whole."""
    async with answering(always(status, body)) as crm:
        with pytest.raises(error) as caught:
            await crm.read("person", [CrmId("7")], lane=Lane.LIVE)
    assert VALUE not in str(caught.value)


async def test_a_refusal_names_the_fields() -> None:
    """Both the built-in key and the custom one are named, and the vendor's code."""
    async with answering(always(400, REFUSED)) as crm:
        outcome = await one(crm, UPDATE)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, RefusedError)
    assert (outcome.error.fields, outcome.error.code) == (("name", HASH), "ERR_X")


async def test_a_field_that_may_not_be_written_is_refused_alone() -> None:
    """A 403 that names fields is no 403 of the call: the rest of the record can go on without them."""
    async with answering(always(403, REFUSED)) as crm:
        outcome = await one(crm, UPDATE)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, RefusedError)
    assert (outcome.error.fields, outcome.error.code) == (("name", HASH), "forbidden")


async def test_a_value_in_the_place_of_a_key_does_not_pass() -> None:
    """Only keys that were sent or look like custom fields are repeated."""
    body = {"success": False, "error": f"Validation failed: {VALUE}: wrong; secretword: wrong", "code": f"x {VALUE}"}
    async with answering(always(400, body)) as crm:
        outcome = await one(crm, UPDATE)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, RefusedError)
    assert (outcome.error.fields, outcome.error.code) == ((), "400")
    assert "secretword" not in str(outcome.error)


async def test_participants_are_the_person_that_was_written() -> None:
    """A complaint about the key that stood in the body names the field that the caller gave."""
    body = {"success": False, "error": "Validation failed: participants: 99 not found", "code": "ERR_X"}
    async with answering(always(400, body)) as crm:
        outcome = await one(crm, Create("activity", {"subject": "Call", "person_id": "99"}))
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, RefusedError)
    assert outcome.error.fields == ("person_id",)


@pytest.mark.parametrize("status", [404, 410])
async def test_nothing_there(status: int) -> None:
    """An update of what is not there is refused as missing; a delete of it is done; a read tells 404 from 410."""
    async with answering(always(status, {"success": False})) as crm:
        outcome = await one(crm, UPDATE)
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, RefusedError)
        assert outcome.error.code == "missing"
        assert await one(crm, Delete("person", CrmId("7"))) == Done(None)
        seen = await crm.read("person", [CrmId("7")], lane=Lane.LIVE)
        assert type(seen[CrmId("7")]).__name__ == ("NotVisible" if status == 404 else "Gone")


@pytest.mark.parametrize(
    "handler",
    [
        hang,
        cut,
        always(500, {"success": False, "error": VALUE}),
        always(503, {"success": False}),
        always(502, text="<html>Bad gateway</html>"),
        always(200, text="<html>who knows</html>"),
        always(200, ["no", "envelope"]),
    ],
    ids=["time-out", "disconnect", "500", "503", "gateway", "200 html", "200 list"],
)
async def test_a_write_without_an_answer_is_in_doubt(handler: Handler) -> None:
    """Sent and not answered: unknown for a write, unavailable for a read."""
    async with answering(handler) as crm:
        outcome = await one(crm, CREATE)
        assert isinstance(outcome, Unknown)
        assert VALUE not in outcome.reason
    async with answering(handler) as crm:
        with pytest.raises(UnavailableError):
            await crm.account()


@pytest.mark.parametrize(("method", "times"), [("POST", 1), ("PUT", 1), ("PATCH", 1), ("DELETE", 1), ("GET", 2)])
async def test_a_change_on_a_connection_that_is_cut_leaves_once(method: str, times: int) -> None:
    """A change is never repeated behind our back, whatever HTTP says of its method; a read may be.

    Fails when the HTTP library repeats what it calls idempotent: an older value overtakes a newer one.
    """
    seen: list[str] = []

    async def answer_once(request: web.Request) -> web.StreamResponse:
        seen.append(request.method)
        return web.json_response({}) if len(seen) == 1 else await cut(request)

    app = web.Application()
    app.router.add_route("*", "/", answer_once)
    async with TestServer(app) as server:
        http = Http({})
        try:
            await http.send("GET", str(server.make_url("/")))
            with pytest.raises(NoAnswerError):
                await http.send(method, str(server.make_url("/")))
        finally:
            await http.close()
    assert seen == ["GET", *[method] * times]


@pytest.fixture
def closed_port() -> int:
    """A port on which nobody listens."""
    return free_port()


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port that takes no further connection: its backlog is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.settimeout(0)
            each.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for each in waiting:
            each.close()


async def test_what_never_left_has_not_happened(closed_port: int, deaf_port: int) -> None:
    """Connection refused, no such host, no connection in time: certainly not sent."""
    for address in (f"http://127.0.0.1:{closed_port}", "http://nowhere.invalid", f"http://127.0.0.1:{deaf_port}"):
        http = Http({}, timeouts=Timeouts(connect=0.3, total=5))
        try:
            with pytest.raises(UnavailableError) as caught:
                await http.send("POST", f"{address}/v1/notes", body={"content": VALUE})
            assert not isinstance(caught.value, NoAnswerError), address
        finally:
            await http.close()


async def test_what_never_left_fails_the_write(closed_port: int) -> None:
    """The outcome is Failed, so the write may be sent again."""
    crm = PipedriveCRM(url=f"http://127.0.0.1:{closed_port}", api_token=SECRET, clock=Clock(lambda: NOW))
    outcome = await one(crm, CREATE)
    await crm.close()
    assert isinstance(outcome, Failed)
    assert type(outcome.error) is UnavailableError


async def test_the_budget_s_headers_tell_a_burst_from_a_spent_day() -> None:
    """429 with tokens left: until the reset. 429 without: the day is spent."""
    left = {"x-daily-ratelimit-token-remaining": "900", "x-ratelimit-reset": "2"}
    spent = {"x-daily-ratelimit-token-remaining": "0", "x-ratelimit-reset": "2"}
    nothing: dict[str, str] = {}
    expected = {2: False, 3600: True}
    for headers, seconds in ((left, 2), (spent, 3600), (nothing, 2)):
        async with answering(always(429, {"success": False}, headers=headers)) as crm:
            with pytest.raises(RateLimitedError) as caught:
                await crm.account()
            assert caught.value.until == NOW + timedelta(seconds=seconds)
            assert caught.value.daily is expected[seconds]


async def test_after_a_refusal_an_admitted_write_does_not_leave() -> None:
    """The second write fails without a request: going on would bring up the wall."""
    seen: list[str] = []

    async def refuse(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.json_response({"success": False}, status=429, headers={"x-ratelimit-reset": "2"})

    async with answering(refuse) as crm:
        outcomes = [await one(crm, CREATE), await one(crm, CREATE)]
    assert len(seen) == 1
    assert all(isinstance(each, Failed) and isinstance(each.error, RateLimitedError) for each in outcomes)


async def test_a_wall_stops_everything_for_a_while() -> None:
    """HTML instead of JSON with 403: not applied, unavailable, and nothing leaves for a minute."""
    async with answering(always(403, text=HTML)) as crm:
        outcome = await one(crm, CREATE)
        assert isinstance(outcome, Failed)
        assert type(outcome.error) is UnavailableError
        with pytest.raises(RateLimitedError) as caught:
            await crm.admit(CREATE, lane=Lane.MANUAL)
    assert caught.value.until == NOW + timedelta(seconds=60)


async def test_a_receipt_is_read_back() -> None:
    """Where the answer to a write is not the stored record, it is read; if it cannot be, the write stays in doubt."""
    stored = {"id": 7, "name": "Stored", "add_time": "2026-01-01T00:00:00Z", "update_time": "2026-01-01T00:00:00Z"}
    readable = [True]

    async def receipt(request: web.Request) -> web.Response:
        if request.method == "GET" and not readable[0]:
            return web.json_response({"success": False}, status=500)
        return web.json_response({"success": True, "data": stored if request.method == "GET" else {"id": 7}})

    async with answering(receipt) as crm:
        outcomes = [await one(crm, UPDATE), await one(crm, CREATE)]
        assert all(
            isinstance(each, Done) and each.record and each.record.fields["name"] == "Stored" for each in outcomes
        )
        readable[0] = False
        assert isinstance(await one(crm, UPDATE), Unknown)
    async with answering(always(200, {"success": True})) as crm:
        assert isinstance(await one(crm, CREATE), Unknown)


async def test_a_read_only_connection_sends_no_change() -> None:
    """Every change raises before it leaves; reads and webhook subscriptions go."""
    seen: list[str] = []

    async def note(request: web.Request) -> web.Response:
        seen.append(f"{request.method} {request.path}")
        return web.json_response({"success": True, "data": []})

    async with answering(note, access=Access.READ_ONLY) as crm:
        for operation in (CREATE, UPDATE, Delete("person", CrmId("7")), Create("note", {"content": "x"})):
            with pytest.raises(ReadOnlyError):
                await crm.admit(operation, lane=Lane.LIVE)
            with pytest.raises(ReadOnlyError):
                await crm.write([operation], lane=Lane.LIVE)
        with pytest.raises(ReadOnlyError):
            await crm.ensure_identity("person", "Connector ID", lane=Lane.LIVE)
        assert not crm.capabilities("person").write
        await crm.subscribe("https://hook.test", "user", "password", lane=Lane.LIVE)
        await crm.unsubscribe("5", lane=Lane.LIVE)
    assert seen == ["GET /api/v2/personFields", "POST /api/v1/webhooks", "DELETE /api/v1/webhooks/5"]


async def test_the_token_travels_in_its_header_only() -> None:
    """Never in the address; a body is announced as JSON."""
    requests: list[tuple[str, str, str | None]] = []

    async def note(request: web.Request) -> web.Response:
        requests.append((str(request.url), request.headers["x-api-token"], request.headers.get("Content-Type")))
        return web.json_response({"success": True, "data": {}})

    async with answering(note) as crm:
        await crm.account()
        await one(crm, CREATE)
    assert [(token, kind) for _, token, kind in requests] == [(SECRET, None), (SECRET, "application/json")]
    assert not any(SECRET in address for address, _, _ in requests)


async def test_every_request_is_observed() -> None:
    """Metrics hear template, status, tokens and lane: of answers, and of none with status 0."""
    observed = Observed()
    async with answering(always(200, {"success": True, "data": {"id": 7, "name": "x"}}), observe=observed) as crm:
        await crm.read("person", [CrmId("7")], lane=Lane.SWEEP)
    async with answering(cut, observe=observed) as crm:
        await one(crm, UPDATE)
    assert observed.calls == [
        ("GET v2/persons/{id}", 200, 1, Lane.SWEEP),
        ("PATCH v2/persons/{id}", 0, 5, Lane.LIVE),
    ]
