"""The CRM or the database is away, or refuses: changes wait, /readyz says so, nothing is lost, and it goes on by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from connector.obs.logs import configure
from tests.engine.rig import Rig, rig
from tests.service.proxy import Proxy

SPEED = 30.0
TABLES = "create schema app; create table app.people (id bigint generated always as identity primary key, name text, mail text)"
PERSON = """
object: person
table: app.people
key: id
direction: both
match: [mail]
fields:
  - {column: name, crm: first_name}
  - {column: mail, crm: emails, as: primary}
"""
TROUBLES: Mapping[str, tuple[str, Mapping[str, Any], str, str]] = {
    "402": ("settings", {"expired": True}, "account_expired", "accountexpired"),
    "429": ("faults", {"kind": "status", "code": 429, "path": "/api/"}, "ok", "ratelimited"),
    "500": ("faults", {"kind": "status", "code": 500, "path": "/api/"}, "ok", "unavailable"),
    "HTML 403": ("faults", {"kind": "html_403", "path": "/api/"}, "ok", "unavailable"),
    "away": ("faults", {"kind": "disconnect_before", "path": "/api/"}, "ok", "noanswer"),
    "401": ("settings", {"revoked": ["TOKEN"]}, "unauthorised", "unauthorised"),
}


@pytest.fixture(autouse=True)
def brief() -> Iterator[None]:
    """Logs as a service writes them."""
    configure("json", "warning")
    yield
    structlog.reset_defaults()


async def _ready(world: Rig) -> Mapping[str, Any]:
    assert world.daemon is not None
    assert world.daemon.service is not None
    address = world.daemon.service.addresses[0]
    async with world.http.get(f"http://{address}/readyz") as response:
        body: Mapping[str, Any] = await response.json()
        return body


async def _connection(world: Rig) -> tuple[str, str]:
    told = (await _ready(world))["connections"]["test"]
    return told["state"], told["crm"]


async def _both_have(world: Rig, *marks: str) -> bool:
    rows = sorted(row["name"] for row in await world.db.fetch("select name from app.people"))
    people = sorted(record["first_name"] for record in world.sandbox.world.tables["person"].live())
    return rows == people == sorted(marks)


async def _edit(world: Rig, mark: str) -> None:
    """Somebody in the app, and somebody in the CRM past the trouble."""
    await world.db.execute("insert into app.people (name, mail) values ($1, $2)", f"row {mark}", f"row{mark}@x.test")
    company = world.sandbox.api.company
    body = {
        "name": f"rec {mark}",
        "first_name": f"rec {mark}",
        "emails": [{"value": f"rec{mark}@x.test", "primary": True}],
    }
    company.do(company.admin(), "person.create", body)
    world.sandbox.deliverer.pump()


@pytest.mark.parametrize("trouble", list(TROUBLES))
async def test_the_crm_is_in_trouble(database: str, tmp_path: Path, trouble: str) -> None:
    """Held or retried, as the trouble asks; local changes wait; all arrives once it is over."""
    path, body, state, crm = TROUBLES[trouble]
    async with rig(database, tmp_path / "set", {"people.yaml": PERSON}, TABLES, speed=SPEED, webhooks=True) as world:
        await world.start()
        if "revoked" in body:
            body = {"revoked": [world.sandbox.token]}
        await _control(world, "POST", path, body)
        await _edit(world, "1")

        async def told() -> bool:
            return await _connection(world) == (state, crm)

        await world.until(told)
        await _edit(world, "2")
        if path == "faults":
            await _control(world, "DELETE", path, None)
        else:
            await _control(world, "POST", path, {"expired": False, "revoked": []})
        await world.until(lambda: _both_have(world, "row 1", "row 2", "rec 1", "rec 2"), 40)
        await world.until(lambda: _calm(world))


async def test_a_restart_with_a_good_token_ends_the_hold(database: str, tmp_path: Path) -> None:
    """What held the connection before is no reason any more: commands are told so too."""
    async with rig(database, tmp_path / "set", {"people.yaml": PERSON}, TABLES, speed=SPEED, webhooks=True) as world:
        await world.start()
        await _control(world, "POST", "settings", {"revoked": [world.sandbox.token]})
        await _edit(world, "1")
        await world.until(lambda: world.db.fetchval("select state = 'held' from connector.connection"))
        await world.stop()
        await _control(world, "POST", "settings", {"revoked": []})
        await world.start(fetch_all=False)
        await world.until(lambda: world.db.fetchval("select state = 'ok' from connector.connection"))
        await world.until(lambda: _both_have(world, "row 1", "rec 1"))


async def _control(world: Rig, method: str, path: str, body: Mapping[str, Any] | None) -> None:
    async with world.http.request(method, f"{world.sandbox.url}/sandbox/{path}", json=body) as response:
        assert response.status < 400, await response.text()


async def _calm(world: Rig) -> bool:
    return await _connection(world) == ("ok", "ok")


async def test_the_database_goes_and_comes_back(database: str, tmp_path: Path) -> None:
    """What was changed meanwhile on either side arrives once it is back; /readyz tells both."""
    async with (
        Proxy(database) as proxy,
        rig(database, tmp_path / "set", {"people.yaml": PERSON}, TABLES, speed=SPEED, webhooks=True) as world,
    ):
        world.dsn = proxy.dsn
        await world.start()
        await _edit(world, "1")
        await world.until(lambda: _both_have(world, "row 1", "rec 1"))
        proxy.pull()

        async def away() -> bool:
            return bool((await _ready(world))["database"] == "away")

        await world.until(away)
        await _edit(world, "2")
        proxy.put_back()
        await world.until(lambda: _both_have(world, "row 1", "rec 1", "row 2", "rec 2"), 40)
        assert (await _ready(world))["database"] == "ok"


async def test_the_database_is_away_at_the_start(database: str, tmp_path: Path) -> None:
    """It waits, answers /healthz, and begins once the database is there."""
    async with (
        Proxy(database) as proxy,
        rig(database, tmp_path / "set", {"people.yaml": PERSON}, TABLES, speed=SPEED, webhooks=True) as world,
    ):
        world.dsn = proxy.dsn
        proxy.pull()
        starting = asyncio.create_task(world.start())
        await asyncio.wait_for(proxy.refused.wait(), 10)
        await _edit(world, "1")
        proxy.put_back()
        await starting
        await world.until(lambda: _both_have(world, "row 1", "rec 1"))
