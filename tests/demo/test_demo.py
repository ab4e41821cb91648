"""`connector demo` from outside: what it says, what it does, and what it leaves behind."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.demo.stage import ROOT, STARTS_WITHIN, STOPS_WITHIN, Demo, Sides, answers, until

SALES = ROOT / "mappings" / "sales-engagement"
SMALL = Path(__file__).parent / "small"


@pytest.fixture
async def sales(tmp_path: Path) -> AsyncIterator[Demo]:
    """The set that is shipped."""
    demo = Demo(tmp_path / "data", SALES)
    yield demo
    await demo.end()


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Demo]:
    """A set of two tables."""
    demo = Demo(tmp_path / "data", SMALL)
    yield demo
    await demo.end()


async def _person(sides: Sides) -> dict[str, Any]:
    people: list[dict[str, Any]] = await sides.crm("GET", "/api/v2/persons", limit=500)
    return next(each for each in people if each["emails"])


async def test_the_shipped_set_works_both_ways(sales: Demo) -> None:
    """The ready line; an edit under the daemon's own token arrives, an UPDATE leaves, a call becomes an activity."""
    await sales.start()
    assert sales.info.keys() == {"url", "sandbox_url", "sandbox_api_token", "database_url", "mappings"}
    async with sales.sides() as sides:
        person = await _person(sides)
        await sides.crm("PATCH", f"/api/v2/persons/{person['id']}", {"first_name": "Zażółć"})
        sql = "select id from app.contacts where pipedrive_id = $1 and first_name = 'Zażółć'"
        key = await until(lambda: sides.db.fetchval(sql, person["id"]))
        await sides.db.execute("update app.contacts set last_name = 'Ω' where id = $1", key)
        await until(lambda: _has(sides, person["id"], "last_name", "Ω"))
        insert = "insert into app.calls (direction, state, duration_s, contact_id) values ('inbound', 'missed', 61, $1)"
        await sides.db.execute(insert, key)
        (call,) = await until(lambda: sides.crm("GET", "/api/v2/activities", person_id=person["id"], type="call"))
        assert (call["subject"], call["done"], call["duration"][:5]) == ("Inbound call, missed", True, "00:01")
    assert await sales.stop() == 0
    assert sales.listening() == []


async def test_webhooks_by_hand_say_what_to_paste(small: Demo, tmp_path: Path) -> None:
    """URL, user and password stand on stderr; the ready line stays the first on stdout."""
    directory = tmp_path / "by hand"
    shutil.copytree(SMALL, directory)
    with (directory / "connection.yaml").open("a", encoding="utf-8") as connection:
        connection.write("webhooks: manual\n")
    small.mappings = directory
    process = await small.spawn()
    assert process.stdout is not None
    assert process.stderr is not None
    ready = json.loads(await process.stdout.readline())
    said = (await process.stderr.readline()).decode()
    assert re.fullmatch(rf"webhook of \S+: URL {ready['url']}/webhooks/\S+  user connector  password \S+\n", said)


async def test_a_start_while_paused(small: Demo) -> None:
    """What a person paused stays paused: the ready line comes all the same, and stderr says how it goes on."""
    await small.start()
    async with small.sides() as sides:
        await sides.db.execute("update connector.connection set paused = true")
    await small.stop()
    process = await small.spawn()
    assert process.stdout is not None
    assert process.stderr is not None
    ready = json.loads(await asyncio.wait_for(process.stdout.readline(), STARTS_WITHIN))
    assert ready.keys() == small.info.keys()
    said = (await process.stderr.readline()).decode()
    assert re.fullmatch(r"\S+: paused; go on: connector resume \S+\n", said)


async def test_what_was_changed_right_before_the_end_is_there_after_it(small: Demo) -> None:
    """SIGTERM ends everything; a second start keeps both sides' data, doubles nothing and takes up what was left."""
    await small.start()
    async with small.sides() as sides:
        person = await _person(sides)
        before = await _counts(sides)
        assert before[0] == before[1]
        await sides.db.execute("insert into crm.people (given, mail) values ('Late', 'late@x.test')")
        await sides.crm("PATCH", f"/api/v2/persons/{person['id']}", {"first_name": "Last"})
    assert await small.stop() == 0
    assert small.listening() == []
    await small.start()
    async with small.sides() as sides:
        mail = next(each["value"] for each in person["emails"] if each["primary"])
        await until(lambda: sides.db.fetchval("select 1 from crm.people where given = 'Last' and mail = $1", mail))
        await until(lambda: _mails(sides, "late@x.test"))
        rows, people, links = await _counts(sides)
        assert (rows, people, links) == (before[0] + 1, before[1] + 1, before[2] + 1)
        assert await _mails(sides, "late@x.test") == 1


@pytest.mark.parametrize("which", ["port", "sandbox_port"])
async def test_a_port_that_is_taken(small: Demo, which: str) -> None:
    """One clear line, exit 1, and nothing is left running."""
    taken = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    async with taken:
        setattr(small, which, taken.sockets[0].getsockname()[1])
        process = await small.spawn()
        _, said = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 1
        assert "Traceback" not in said.decode()
        assert str(getattr(small, which)) in said.decode()
    assert small.listening() == []
    assert not list((tmp := small.data / "postgres").rglob("postmaster.pid")), tmp


@pytest.mark.parametrize("sign", ["secret.key", "postmaster.pid", "sandbox.jsonl"])
async def test_a_stop_in_the_middle_of_the_start(small: Demo, sign: str) -> None:
    """SIGTERM before it is ready ends all processes too."""
    process = await small.spawn()
    await until(lambda: _exists(small.data, sign))
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.communicate(), STOPS_WITHIN)
    assert not answers(small.sandbox_port)
    assert not answers(small.port)
    assert not list(small.data.rglob("postmaster.pid"))


async def _exists(directory: Path, name: str) -> bool:
    return any(name in files for _, _, files in os.walk(directory))  # folders may be renamed meanwhile


async def _has(sides: Sides, person: int, key: str, value: str) -> bool:
    return bool((await sides.crm("GET", f"/api/v2/persons/{person}"))[key] == value)


async def _mails(sides: Sides, mail: str) -> int:
    people = await sides.crm("GET", "/api/v2/persons", limit=500)
    return sum(mail in [each["value"] for each in person["emails"]] for person in people)


async def _counts(sides: Sides) -> tuple[int, int, int]:
    rows = await sides.db.fetchval("select count(*) from crm.people")
    links = await sides.db.fetchval("select count(*) from connector.link where mapping = 'people' and state = 'linked'")
    return rows, len(await sides.crm("GET", "/api/v2/persons", limit=500)), links
