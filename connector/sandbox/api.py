"""The API as a function: a request in, a response out; token, budget, route, command, envelope, headers. No I/O."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from uuid import UUID

from connector.sandbox import v1, v2
from connector.sandbox.calls import Answer, Call, Endpoint, Request, Response, Router
from connector.sandbox.company import Company
from connector.sandbox.limits import Limits
from connector.sandbox.model import User
from connector.sandbox.refusals import INFO, Refusal, default_body
from connector.sandbox.wire import Record, dumps

HTML_403 = (
    b"<!DOCTYPE html><html><head><title>Access denied | Cloudflare</title></head>"
    b"<body><h1>Error 1015</h1><p>You are being rate limited</p></body></html>"
)
_SOURCES = ("api", "app")


@dataclass(slots=True)
class Condition:
    """What is wrong with the account, on demand."""

    expired: bool = False  # 402 for every call
    revoked: set[str] = field(default_factory=set)  # tokens that answer 401


@dataclass(slots=True)
class Stats:
    """Counts for tests and benchmarks, by ``METHOD template``."""

    requests: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)


class Api:
    """Answers requests on one company; ``now`` is the true time for windows, the company's clock may be skewed."""

    def __init__(self, company: Company, limits: Limits, now: Callable[[], datetime]) -> None:
        self.company = company
        self.limits = limits
        self.condition = Condition()
        self.stats = Stats()
        self._now = now
        self._router = Router({"/api/v2": v2.ENDPOINTS, "/api/v1": v1.ENDPOINTS, "/v1": v1.ENDPOINTS})
        self._chance = random.Random(company.world.seed)

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        correlation = str(UUID(int=self._chance.getrandbits(128), version=4))
        headers = {"x-correlation-id": correlation, "Date": format_datetime(self.company.clock(), usegmt=True)}
        try:
            response = self._admitted(request, headers, correlation)
        except Refusal as refusal:
            response = Response(refusal.status, dumps(refusal.body), headers)
        self.stats.statuses[response.status] += 1
        return response

    def _admitted(self, request: Request, headers: dict[str, str], correlation: str) -> Response:
        user = self._user(request)
        if self.condition.expired:
            raise Refusal(
                402,
                default_body(
                    "Company account is not open (possible reason: trial expired, payment details not entered)"
                ),
            )
        endpoint, params, template = self._router.find(request.method, request.path)
        refused = self._charge(user, endpoint, template, headers)
        if refused is not None:
            return refused
        source = request.headers.get("x-sandbox-source", "api")
        call = Call(self.company, user, source if source in _SOURCES else "api", params, request, correlation)
        answer: Answer = endpoint.handler(call)
        return Response(answer.status, answer.body, headers)

    def _user(self, request: Request) -> User:
        token = request.headers.get("x-api-token") or request.query.get("api_token") or ""
        user = None if token in self.condition.revoked else self.company.world.user_of(token)
        if user is None:
            raise Refusal(401, _unauthorized())
        return user

    def _charge(self, user: User, endpoint: Endpoint, template: str, headers: dict[str, str]) -> Response | None:
        """Book the price; give the refusal when a window is full. Updates the headers in place."""
        verdict = self.limits.admit(user.token, endpoint.cost, self._now())
        headers.update(verdict.headers)
        name = f"{endpoint.method} {template.replace('/api/v1', '/v1')}"
        self.stats.requests[name] += 1
        if verdict.status == 403:  # noqa: PLR2004
            return Response(403, HTML_403, headers, "text/html")
        if verdict.status == 429:  # noqa: PLR2004
            return Response(429, dumps({"success": False, "error": "Request over limit"}), headers)
        self.stats.tokens[name] += endpoint.cost
        return None


def _unauthorized() -> Record:
    return {"success": False, "error": "unauthorized access", "errorCode": 401, "error_info": INFO}
