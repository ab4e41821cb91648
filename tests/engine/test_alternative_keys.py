"""Several match keys: what one key finds and what another finds are one question, asked from both sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engine.rig import Rig, rig

TABLES = """
create schema app;
create table app.contacts (id bigint generated always as identity primary key, name text, email text, phone text);
"""
CONTACT = """
object: person
table: app.contacts
key: id
direction: {direction}
match: [email, phone]
backfill: all
fields:
  - {{column: name, crm: name}}
  - {{column: email, crm: emails, as: primary}}
  - {{column: phone, crm: phones, as: primary}}
"""
SPEED = 20.0
EMAIL, PHONE = "ada@x.test", "+4930123"


def _person(name: str, email: str | None = None, phone: str | None = None) -> dict[str, Any]:
    emails = [{"value": email, "primary": True}] if email else []
    return {"name": name, "emails": emails, "phones": [{"value": phone, "primary": True}] if phone else []}


async def _row(world: Rig, name: str, email: str | None = None, phone: str | None = None) -> None:
    await world.db.execute("insert into app.contacts (name, email, phone) values ($1, $2, $3)", name, email, phone)


async def _said(world: Rig) -> list[tuple[str, str | None, str | None]]:
    """Name, e-mail and phone of all persons of the CRM."""
    people = await world.crm("GET", "/api/v2/persons")
    first = [
        (p["name"], *(next((e["value"] for e in p[field]), None) for field in ("emails", "phones"))) for p in people
    ]
    return sorted(first)


async def _parked(world: Rig) -> list[str]:
    rows = await world.db.fetch("select cause from connector.work where state = 'parked' order by cause")
    return [row["cause"] for row in rows]


@pytest.mark.parametrize("webhooks", [False, True], ids=["listed", "told"])
async def test_two_records_meant_by_one_row(database: str, tmp_path: Path, *, webhooks: bool) -> None:
    """The e-mail names one person, the phone another: neither is taken, and nothing of the row is written into one."""
    files = {"contact.yaml": CONTACT.format(direction="both")}
    async with rig(database, tmp_path / "set", files, TABLES, webhooks=webhooks) as world:
        if webhooks:
            await world.start()
        await world.crm("POST", "/sandbox/bulk", {
            "records": [_person("Of the mail", email=EMAIL), _person("Of the phone", phone=PHONE)], "webhooks": webhooks,
        })  # fmt: skip
        if not webhooks:
            await _row(world, "Ada", EMAIL, PHONE)
            await world.start()
            await world.idle()
            assert await _parked(world) == ["ambiguous"] * 3
            assert await world.db.fetchval("select count(*) from app.contacts") == 1
        else:
            await world.idle()
            await _row(world, "Ada", EMAIL, PHONE)
            await world.idle()
            assert await _parked(world) == ["duplicate"]
        assert await _said(world) == [("Of the mail", EMAIL, None), ("Of the phone", None, PHONE)]


@pytest.mark.parametrize("direction", ["both", "send"])
async def test_two_rows_that_mean_one_record(database: str, tmp_path: Path, direction: str) -> None:
    """One row has the person's e-mail, another the phone: neither gets it, nobody is made."""
    files = {"contact.yaml": CONTACT.format(direction=direction)}
    async with rig(database, tmp_path / "set", files, TABLES) as world:
        await world.crm("POST", "/api/v2/persons", _person("Ada", EMAIL, PHONE))
        await _row(world, "Of the mail", email=EMAIL)
        await _row(world, "Of the phone", phone=PHONE)
        await world.start()
        await world.ask("fetch_all", {"confirmed": True})
        await world.idle()
        assert set(await _parked(world)) == {"ambiguous"}
        assert await _said(world) == [("Ada", EMAIL, PHONE)]


@pytest.mark.parametrize("restart", [False, True], ids=["reloaded", "restarted"])
async def test_another_match_key(database: str, tmp_path: Path, *, restart: bool) -> None:
    """Persons are known by the new key once they are listed again, also those that are linked and unchanged.

    Fails when a listing keeps only the keys of new and changed records: the person with that phone is made twice.
    """
    files = {"contact.yaml": CONTACT.format(direction="both").replace("[email, phone]", "[email]")}
    async with rig(database, tmp_path / "set", files, TABLES, speed=SPEED) as world:
        await world.start()
        await world.crm("POST", "/api/v2/persons", _person("Ada", EMAIL, PHONE))
        await world.quiet()
        if restart:
            await world.stop()
        edited = CONTACT.format(direction="both").replace("[email, phone]", "[phone]")
        (world.directory / "contact.yaml").write_text(edited, "utf-8")
        if restart:
            await world.start(fetch_all=False)
        else:
            await world.until(lambda: _matched_by(world, "phones"))
        await _row(world, "Ada", "other@x.test", PHONE)
        await world.until(lambda: _parked(world))
        assert await _parked(world) == ["duplicate"]
        assert len(await _said(world)) == 1


async def _matched_by(world: Rig, field: str) -> bool:
    context = world.daemon.running["test"].context if world.daemon is not None else None
    return context is not None and context.rules.bound.mappings["contact"].match[0][0].name == field
