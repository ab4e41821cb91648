"""Budgets, headers, the account's condition, the clock, and faults on demand."""

import aiohttp
import pytest

from connector.sandbox.server import Sandbox
from tests.sandbox.conftest import Client, Receiver, Ticker, subscribe


async def test_headers_tell_budget_and_time(crm: Client) -> None:
    """Also when nothing is limited."""
    headers = (await crm.get("/v1/users/me")).headers
    assert headers["date"] == "Fri, 20 Nov 2026 10:00:00 GMT"
    assert len(headers["x-correlation-id"]) == 36
    names = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
    more = ("x-daily-ratelimit-token-limit", "x-daily-ratelimit-token-remaining")
    assert all(headers[name].isdigit() for name in names + more)


async def test_the_burst_window_is_per_token(crm: Client, sandbox: Sandbox, ticker: Ticker) -> None:
    """Rolling over 2 s; refused requests cost nothing; the other user goes on."""
    await crm.post("/sandbox/settings", {"plan": "lite"})
    for left in range(19, -1, -1):
        answer = await crm.get("/v1/users/me")
        assert (answer.status, answer.headers["x-ratelimit-remaining"]) == (200, str(left))
    refused = await crm.get("/v1/users/me")
    assert (refused.status, refused.body) == (429, {"success": False, "error": "Request over limit"})
    assert (await crm.as_(sandbox.tokens[1]).get("/v1/users/me")).status == 200
    ticker.tick(2)
    assert (await crm.get("/v1/users/me")).status == 200
    assert sandbox.api.limits.spent == 22 * 2


async def test_going_on_after_429_meets_cloudflare(crm: Client, ticker: Ticker) -> None:
    """An HTML 403 for a while."""
    await crm.post("/sandbox/settings", {"plan": "lite", "cloudflare_after": 3})
    statuses = [(await crm.get("/v1/users/me")).status for _ in range(26)]
    assert statuses == [200] * 20 + [429] * 3 + [403] * 3
    assert b"Cloudflare" in (await crm.get("/v1/users/me")).body
    ticker.tick(11)
    assert (await crm.get("/v1/users/me")).status == 200


async def test_the_daily_budget_is_shared_and_resets_at_midnight(crm: Client, sandbox: Sandbox, ticker: Ticker) -> None:
    """Whatever the page size; 429 with nothing remaining."""
    await crm.post("/sandbox/settings", {"daily": 15})
    assert (await crm.get("/api/v2/persons", limit=1)).headers["x-daily-ratelimit-token-remaining"] == "5"
    other = crm.as_(sandbox.tokens[1])
    assert (await other.get("/api/v2/deals")).headers["x-daily-ratelimit-token-remaining"] == "0"
    refused = await crm.get("/api/v2/persons/1")
    assert (refused.status, refused.headers["x-daily-ratelimit-token-remaining"]) == (429, "0")
    ticker.tick(15 * 3600)
    assert (await crm.get("/api/v2/persons")).status == 200


async def test_requests_and_tokens_are_counted(crm: Client) -> None:
    """By method and template, with the published prices."""
    await crm.get("/api/v2/persons/1")
    await crm.get("/api/v1/notes")
    await crm.patch("/api/v2/persons/1", {"name": "x"})
    stats = (await crm.get("/sandbox/stats")).data
    assert stats["tokens"] == {"GET /api/v2/persons/{id}": 1, "GET /v1/notes": 20, "PATCH /api/v2/persons/{id}": 5}
    assert stats["tokens_spent"] == 26
    await crm.delete("/sandbox/stats")
    assert (await crm.get("/sandbox/stats")).data["requests"] == {}


async def test_an_expired_account_and_a_revoked_token(crm: Client) -> None:
    """402 and 401, and back."""
    await crm.post("/sandbox/settings", {"expired": True})
    assert (await crm.get("/v1/users/me")).status == 402
    await crm.post("/sandbox/settings", {"expired": False, "revoked": [crm.token]})
    assert (await crm.get("/v1/users/me")).status == 401
    await crm.post("/sandbox/settings", {"revoked": []})
    assert (await crm.get("/v1/users/me")).status == 200


async def test_the_clock_can_be_skewed(crm: Client) -> None:
    """Record times and the Date header move together."""
    await crm.post("/sandbox/clock", {"offset": -90})
    changed = await crm.patch("/api/v2/persons/1", {"name": "x"})
    assert changed.data["update_time"] == "2026-11-20T09:58:30Z"
    assert changed.headers["date"] == "Fri, 20 Nov 2026 09:58:30 GMT"


async def test_control_endpoints_refuse_what_they_do_not_know(crm: Client) -> None:
    """A typo in a test is no silent no-op."""
    assert (await crm.post("/sandbox/settings", {"plam": "lite"})).status == 400
    assert (await crm.post("/sandbox/settings", {"plan": "gold"})).status == 400
    assert (await crm.post("/sandbox/faults", {"kind": "gremlin"})).status == 400
    assert (await crm.post("/sandbox/faults", {"kind": "status", "path": "("})).status == 400
    assert (await crm.post("/sandbox/webhooks", {"dupe": 1})).status == 400
    assert (await crm.post("/sandbox/nothing", {})).status == 404
    assert (await crm.post("/sandbox/settings", {"burst": "many"})).status == 400
    assert (await crm.post("/sandbox/settings", {"second_delete": "410"})).status == 400
    assert (await crm.post("/sandbox/bulk", {"entity": "pipeline", "count": 3})).status == 400
    assert (await crm.post("/sandbox/bulk", {"entity": "person", "updates": [1]})).status == 400


async def fault(crm: Client, kind: str, **more: object) -> None:
    """Add a rule for one PATCH of a person."""
    rule = {"kind": kind, "method": "PATCH", "path": "/persons/", "count": 1, **more}
    assert (await crm.post("/sandbox/faults", rule)).status == 200


@pytest.mark.parametrize(("body", "kind"), [("json", dict), ("html", bytes), ("empty", bytes)])
async def test_a_status_fault_applies_nothing(crm: Client, body: str, kind: type) -> None:
    """Once, then it is spent."""
    await fault(crm, "status", code=503, body=body)
    url, headers = crm.url + "/api/v2/persons/1", {"x-api-token": crm.token}
    async with crm.http.patch(url, json={"name": "x"}, headers=headers) as response:
        assert response.status == 503
        assert (await response.read() == b"") is (body == "empty")
    assert (await crm.get("/api/v2/persons/1")).data["name"] != "x"
    assert (await crm.patch("/api/v2/persons/1", {"name": "x"})).data["name"] == "x"


@pytest.mark.parametrize(("kind", "applied"), [("disconnect_before", False), ("disconnect_after", True)])
async def test_a_cut_connection_leaves_the_caller_in_doubt(crm: Client, kind: str, *, applied: bool) -> None:
    """Applied or not."""
    await fault(crm, kind)
    with pytest.raises(aiohttp.ClientError):
        await crm.patch("/api/v2/persons/1", {"name": "x"})
    assert ((await crm.get("/api/v2/persons/1")).data["name"] == "x") is applied


@pytest.mark.parametrize(("kind", "applied"), [("timeout_before", False), ("timeout_after", True)])
async def test_a_hanging_request_leaves_the_caller_in_doubt(crm: Client, kind: str, *, applied: bool) -> None:
    """Until the caller's own time-out."""
    await fault(crm, kind)
    headers = {"x-api-token": crm.token}
    limit = aiohttp.ClientTimeout(total=0.1)
    with pytest.raises(TimeoutError):
        await crm.http.patch(crm.url + "/api/v2/persons/1", json={"name": "x"}, headers=headers, timeout=limit)
    assert ((await crm.get("/api/v2/persons/1")).data["name"] == "x") is applied


async def test_a_write_can_be_applied_after_its_caller_has_gone(crm: Client, receiver: Receiver) -> None:
    """The nastiest of them; its webhook tells when."""
    await subscribe(crm, receiver)
    await fault(crm, "applied_late", seconds=0.15)
    limit = aiohttp.ClientTimeout(total=0.05)
    with pytest.raises(TimeoutError):
        await crm.http.patch(
            crm.url + "/api/v2/persons/1", json={"name": "late"}, headers={"x-api-token": crm.token}, timeout=limit
        )
    assert (await crm.get("/api/v2/persons/1")).data["name"] != "late"
    await receiver.wait(1)
    assert (await crm.get("/api/v2/persons/1")).data["name"] == "late"


async def test_slow_and_blocked(crm: Client) -> None:
    """A slow answer is a right one; Cloudflare's page is not JSON; DELETE clears all rules."""
    await fault(crm, "slow", seconds=0.01)
    assert (await crm.patch("/api/v2/persons/1", {"name": "x"})).status == 200
    await crm.post("/sandbox/faults", {"kind": "html_403"})
    assert (await crm.get("/v1/users/me")).status == 403
    await crm.delete("/sandbox/faults")
    assert (await crm.get("/v1/users/me")).status == 200


async def test_faults_can_be_a_matter_of_luck(crm: Client) -> None:
    """By probability, seeded."""
    await crm.post("/sandbox/faults", {"kind": "status", "code": 500, "probability": 0.5})
    statuses = {(await crm.get("/v1/users/me")).status for _ in range(40)}
    assert statuses == {200, 500}


async def test_children_may_bump_their_parents(crm: Client, ticker: Ticker) -> None:
    """Not by default; switchable."""
    before = (await crm.get("/api/v2/organizations/1")).data["update_time"]
    ticker.tick()
    await crm.post("/v1/notes", {"content": "n", "org_id": 1})
    assert (await crm.get("/api/v2/organizations/1")).data["update_time"] == before
    await crm.post("/sandbox/settings", {"children_bump_parent": True})
    await crm.post("/v1/notes", {"content": "n", "org_id": 1})
    assert (await crm.get("/api/v2/organizations/1")).data["update_time"] == "2026-11-20T10:00:01Z"
