"""What an endpoint sees of a request and gives back; and how requests find their endpoint. No I/O."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import parse_qsl

from connector.sandbox import refusals
from connector.sandbox.company import Company
from connector.sandbox.model import Actor, User
from connector.sandbox.wire import Json, Record, dumps
from connector.sandbox.world import World


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request without its connection; header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    reachable: bool = True  # whether somebody answers at the subscription_url in the body, as probed by the server


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response without its connection."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint gives back: the whole body as bytes."""

    body: bytes
    status: int = 200


@dataclass(frozen=True, slots=True)
class Call:
    """One admitted request at its endpoint."""

    company: Company
    user: User
    source: str
    params: Mapping[str, str]
    request: Request
    correlation: str

    @property
    def world(self) -> World:
        """The state to read; only commands change it."""
        return self.company.world

    @property
    def query(self) -> Mapping[str, str]:
        """The query parameters."""
        return self.request.query

    @property
    def key(self) -> int:
        """The ``{id}`` of the path."""
        return self.number("id")

    def number(self, name: str) -> int:
        """Read a number of the path."""
        text = self.params[name]
        if not text.isascii() or not text.isdigit():
            raise refusals.invalid({name: "must be an integer"})
        return int(text)

    def body(self) -> Json:
        """Read the body as JSON; 400 otherwise."""
        try:
            value = json.loads(self.request.body or b"{}", parse_constant=_refuse_constant)
            dumps(value)  # half a surrogate pair is no text
        except ValueError:
            raise refusals.bad_request("Bad request: the body is not valid JSON") from None
        return value

    def lenient_body(self) -> Json:
        """Read the body as v1 does: JSON or form-encoded."""
        if self.request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return dict(parse_qsl(self.request.body.decode(errors="replace"), keep_blank_values=True))
        return self.body()

    def do(self, op: str, *args: Json) -> Json:
        """Run a command as the caller."""
        return self.company.do(Actor(self.user.id, self.source), op, *args, correlation=self.correlation)


def _refuse_constant(name: str) -> Json:
    raise ValueError(name)


Handler: TypeAlias = Callable[[Call], Answer]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of the API: its template below the version prefix and its price in tokens."""

    method: str
    template: str
    cost: int
    handler: Handler


def ok(data: Json, status: int = 200, **more: Json) -> Answer:
    """Give the success envelope."""
    return Answer(dumps({"success": True, "data": data, **more}), status)


def ok_bytes(data: bytes) -> Answer:
    """Give the success envelope around rendered JSON."""
    return Answer(b'{"success":true,"data":' + data + b"}")


class Router:
    """Finds the endpoint of a path: by prefix, number of segments, then literal segments before parameters."""

    def __init__(self, tables: Mapping[str, Iterable[Endpoint]]) -> None:
        self._by_shape: dict[tuple[str, int], list[tuple[list[str], Endpoint]]] = {}
        for prefix, endpoints in tables.items():
            for endpoint in sorted(endpoints, key=lambda each: each.template.count("{")):
                parts = endpoint.template.strip("/").split("/")
                self._by_shape.setdefault((prefix, len(parts)), []).append((parts, endpoint))
        self._prefixes = sorted(tables, key=len, reverse=True)

    def find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str], str]:
        """Give the endpoint, its path parameters and its full template; refuses with 404 or 405."""
        prefix = next((each for each in self._prefixes if path.startswith(each + "/")), None)
        if prefix is None:
            raise refusals.Refusal(404, refusals.default_body("Unknown path."))
        parts = path[len(prefix) :].strip("/").split("/")
        fitting = [(t, e) for t, e in self._by_shape.get((prefix, len(parts)), ()) if _fits(t, parts)]
        for template, endpoint in fitting:
            if endpoint.method == method:
                return endpoint, _params(template, parts), prefix + endpoint.template
        if fitting:
            raise refusals.Refusal(405, refusals.default_body("Method not allowed."))
        raise refusals.Refusal(404, refusals.default_body("Unknown method ."))


def _fits(template: list[str], parts: list[str]) -> bool:
    return all(t.startswith("{") or t == p for t, p in zip(template, parts, strict=True))


def _params(template: list[str], parts: list[str]) -> dict[str, str]:
    return {t[1:-1]: p for t, p in zip(template, parts, strict=True) if t.startswith("{")}


def fields_of(record: Record, keys: Iterable[str]) -> Record:
    """Pick keys of a record in order."""
    return {key: record[key] for key in keys}
