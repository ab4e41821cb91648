"""Calls of the Pipedrive API: admitted by the budget, sent, judged. The one door through which requests leave."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final

from connector.core.errors import CursorExpiredError, ReadOnlyError, UnavailableError
from connector.core.model import Json, Lane
from connector.crm.budget import Limiter, Mark
from connector.crm.clock import Clock, ServerClock
from connector.crm.errors import NOT_IMPLEMENTED, SERVER, failure
from connector.crm.http import Answer, Http, NoAnswerError
from connector.crm.pipedrive.answers import complaint, date, told
from connector.crm.pipedrive.kinds import Endpoint
from connector.crm.pipedrive.urls import Addresses

Observe = Callable[[str, int, float, float, Lane], None]
"""Told of every request: endpoint template, status (0: no answer), seconds, tokens, lane."""

WALL_SECONDS: Final = 60.0
"""Pause after an HTML 403: going on would prolong the block (REFERENCE §11.3)."""
GATEWAY_SECONDS: Final = 5.0
"""Pause after HTML of a gateway."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A judged answer: `body` is the decoded envelope."""

    status: int
    body: Mapping[str, Json]

    @property
    def data(self) -> Json:
        """What was asked for."""
        return self.body.get("data")

    @property
    def rows(self) -> Sequence[Mapping[str, Json]]:
        """The records of a list; v1 says null for none."""
        data = self.data
        return [row for row in data if isinstance(row, dict)] if isinstance(data, list) else ()

    @property
    def more(self) -> Mapping[str, Json]:
        """`additional_data`, whether the API sent it or not."""
        more = self.body.get("additional_data")
        return more if isinstance(more, dict) else {}


@dataclass(frozen=True, slots=True)
class Call:
    """One request to be: `admitted` when the budget was charged before, `expected` statuses are answers, no errors."""

    endpoint: Endpoint
    lane: Lane
    id: str = ""
    params: Mapping[str, str] | None = None
    body: Mapping[str, Json] | None = None
    admitted: bool = False
    past_reserve: bool = False
    expected: Collection[int] = ()


class Client:
    """Speaks for one account. A read-only client lets nothing leave that changes records or fields."""

    def __init__(
        self, http: Http, limiter: Limiter, addresses: Addresses, *, clock: Clock, observe: Observe, read_only: bool
    ) -> None:
        self.limiter, self.addresses, self.server_clock = limiter, addresses, ServerClock()
        self._http, self._clock, self._observe, self._read_only = http, clock, observe, read_only

    def move(self, addresses: Addresses) -> None:
        """Speak to these bases from now on."""
        self.addresses = addresses

    def permit(self, endpoint: Endpoint) -> None:
        """ReadOnlyError for a change by a read-only client."""
        if endpoint.changes and self._read_only:
            raise ReadOnlyError(f"{endpoint.name}: the connection is read-only")

    async def call(self, call: Call) -> Reply:
        """The judged answer; raises the errors of `core.errors`, of them NoAnswerError for a write in doubt."""
        self.permit(call.endpoint)
        if call.admitted:
            self.limiter.check()
        else:
            await self.limiter.admit(call.endpoint.tokens, call.lane, past_reserve=call.past_reserve)
        mark = self.limiter.mark()
        return self._judge(call, await self._send(call), mark)

    async def close(self) -> None:
        """End all connections and waits."""
        await self.limiter.close()
        await self._http.close()

    async def _send(self, call: Call) -> Answer:
        endpoint, began, sent = call.endpoint, self._clock.monotonic(), self._clock.now()
        status = 0
        try:
            answer = await self._http.send(endpoint.method, self._url(call), params=call.params, body=_json(call.body))
            status = answer.status
        except UnavailableError as error:
            raise type(error)(f"{endpoint.name}: {error.message}") from error
        finally:
            seconds = self._clock.monotonic() - began
            self._observe(endpoint.name, status, seconds, endpoint.tokens, call.lane)
        self._hear_date(answer, sent)
        return answer

    def _url(self, call: Call) -> str:
        base = self.addresses.v1 if call.endpoint.version == "v1" else self.addresses.v2
        return f"{base}/{call.endpoint.path.format(id=call.id)}"

    def _hear_date(self, answer: Answer, sent: datetime) -> None:
        at = date(answer.headers)
        if at is not None:
            self.server_clock.hear(at, sent=sent, received=self._clock.now())

    def _judge(self, call: Call, answer: Answer, mark: Mark) -> Reply:
        said = told(answer.headers, self._clock.now())
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise self.limiter.refused(said, mark, call.endpoint.tokens)
        self.limiter.hear(said, mark)
        if answer.status in call.expected:
            return Reply(answer.status, {})
        if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            body = _envelope(call, answer)
            if body.get("success") is not False:
                return Reply(answer.status, body)
        self._rest(answer)
        raise _error(call, answer)

    def _rest(self, answer: Answer) -> None:
        """Stop sending for a while when something before the API answered."""
        if answer.html and answer.status == HTTPStatus.FORBIDDEN:
            self.limiter.pause(WALL_SECONDS)
        elif answer.html and answer.status >= SERVER:
            self.limiter.pause(GATEWAY_SECONDS)


def _error(call: Call, answer: Answer) -> Exception:
    name, status = call.endpoint.name, answer.status
    if call.endpoint.changes and status >= SERVER and status != NOT_IMPLEMENTED:
        return NoAnswerError(f"{name}: {status}")
    if status == HTTPStatus.BAD_REQUEST and call.params and "cursor" in call.params:
        return CursorExpiredError(f"{name}: {status}")
    return failure(name, answer, complaint(answer, _keys(call.body)))


def _envelope(call: Call, answer: Answer) -> Mapping[str, Json]:
    """The body of a success; only a deletion has nothing to say."""
    if call.endpoint.method == "DELETE" and not answer.body.strip():
        return {}
    try:
        body = answer.json()
    except ValueError:
        body = None
    if isinstance(body, dict):
        return body
    raise NoAnswerError(f"{call.endpoint.name}: {answer.status} without JSON")


def _keys(body: Mapping[str, Json] | None) -> Collection[str]:
    """Keys of what was sent, those of custom fields among them."""
    custom = (body or {}).get("custom_fields")
    return {*(body or {}), *(custom if isinstance(custom, dict) else {})}


def _json(body: Mapping[str, Json] | None) -> Json:
    return None if body is None else dict(body)
