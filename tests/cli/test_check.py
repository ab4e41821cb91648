"""``check``, and ``run`` with bad files: every mistake at its place, nothing started, and what a database lacks."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests.cli.conftest import MAPPINGS, Demo, Sides, connector

BAD = """object: person
table: app.contacts
key: id
direction: sideways
fields:
  - {column: email, crm: emails, as: primery}
  - {columm: phone, crm: phones}
"""


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A set with three mistakes in one file and one in another."""
    shutil.copytree(MAPPINGS, tmp_path / "acme")
    (tmp_path / "acme" / "contact.yaml").write_text(BAD, encoding="utf-8")
    company = tmp_path / "acme" / "company.yaml"
    company.write_text(company.read_text(encoding="utf-8") + "nonsense: 1\n", encoding="utf-8")
    return tmp_path / "acme"


async def test_every_mistake_has_its_place(bad: Path) -> None:
    """By `check` and by `run` alike: file:line:col on stderr, exit 1, without looking at database or CRM."""
    checked, started, program = await asyncio.gather(
        connector("check", str(bad), "--offline"),
        connector(
            "run", str(bad), str(bad), DATABASE_URL="postgresql://nobody@127.0.0.1:1/none", CONNECTOR_SECRET_KEY="x"
        ),
        connector("check", str(bad), "--offline", "--json"),
    )
    assert (checked.code, started.code, program.code) == (1, 1, 1)
    assert started.err == checked.err * 2
    for place in ("contact.yaml:4:", "contact.yaml:6:", "contact.yaml:7:", "company.yaml:"):
        assert f"{bad}/{place}" in checked.err
        assert f"{bad}/{place}" in started.err
    assert len(program.json["problems"]) >= 4
    assert program.json["sound"] is False


async def test_the_files_alone() -> None:
    """Offline needs neither variables nor a database."""
    done = await connector("check", str(MAPPINGS), "--offline")
    assert (done.code, done.out, done.err) == (0, "sales-engagement: ok\n", "")


LOOSE = """object: person
table: app.contacts
key: id
direction: both
match: [mail]
only: {receive: {org_id: {in: companie}}}
fields:
  - {column: email, crm: emails}
  - {column: company_id, crm: org_id, link: firm}
  - {column: full_name, crm: "{{ first_name | uper }}"}
"""


async def test_the_files_alone_are_compared_with_each_other(tmp_path: Path) -> None:
    """Offline too: names of other mappings, match keys without a line, templates that are none."""
    shutil.copytree(MAPPINGS, tmp_path / "acme")
    contact = tmp_path / "acme" / "contact.yaml"
    contact.write_text(LOOSE, encoding="utf-8")
    done = await connector("check", str(tmp_path / "acme"), "--offline")
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines() == [
        f"{contact}:5:9: no line of 'fields' maps column 'mail'; did you mean 'email'?",
        f"{contact}:6:27: this set has no mapping 'companie'; did you mean 'company'?",
        f"{contact}:9:45: this set has no mapping 'firm'; known: call, comment, company, contact, deal, email, task",
        f"{contact}:10:30: template, line 1: No filter named 'uper'.",
    ]


async def test_references_that_lead_nowhere_are_all_named(tmp_path: Path) -> None:
    """By `check` and `run`: each variable and file at its place, with the name that was meant."""
    shutil.copytree(MAPPINGS, tmp_path / "acme")
    connection = tmp_path / "acme" / "connection.yaml"
    text = "crm: pipedrive\nurl: env:PIPEDRIVE_URI\ncredentials: {api_token: file:nowhere}\n"
    connection.write_text(text, encoding="utf-8")
    variables = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "PIPEDRIVE_URL": "http://x.test"}
    done = await connector("run", str(tmp_path / "acme"), CONNECTOR_SECRET_KEY="x", **variables)
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines() == [
        (
            f"{connection}:2:6: the environment variable PIPEDRIVE_URI is not set; "
            "set it, or change env:PIPEDRIVE_URI; did you mean env:PIPEDRIVE_URL?"
        ),
        (
            f"{connection}:3:15: cannot read the file {tmp_path / 'acme' / 'nowhere'}: No such file or directory; "
            "check its path and permissions"
        ),
    ]


async def test_the_demo_is_sound(demo: Demo) -> None:
    """Database, account, budget, clocks, webhooks, rights, triggers and indexes are looked at."""
    done = await demo.command("check", str(MAPPINGS), "--json")
    assert done.code == 0, done.out
    looked_at = {finding["check"] for finding in done.json["findings"]}
    assert looked_at >= {
        "database",
        "account",
        "budget",
        "clock",
        "webhooks",
        "grants",
        "triggers",
        "indexes",
        "fields",
    }
    (trip,) = [finding for finding in done.json["findings"] if finding["check"] == "round trip"]
    assert (trip["level"], "/webhooks/sales-engagement takes the CRM's credentials" in trip["message"]) == ("ok", True)


async def test_a_set_that_does_not_fit_the_schemas(demo: Demo, sides: Sides, tmp_path: Path) -> None:
    """Columns and fields that are not there, at their place in the file."""
    shutil.copytree(MAPPINGS, tmp_path / "acme")
    contact = tmp_path / "acme" / "contact.yaml"
    text = contact.read_text(encoding="utf-8").replace("column: phone", "column: phome")
    contact.write_text(text.replace("crm: first_name", "crm: frist_name"), encoding="utf-8")
    done = await connector(
        *("check", str(tmp_path / "acme")),
        DATABASE_URL=demo.database_url,
        PIPEDRIVE_URL=demo.facts["sandbox_url"],
        PIPEDRIVE_API_TOKEN=demo.facts["sandbox_api_token"],
    )
    assert done.code == 1
    assert "phome" in done.err
    assert "frist_name" in done.err
    assert f"{contact}:" in done.err


async def test_missing_rights_are_printed_as_grants(demo: Demo, sides: Sides) -> None:
    """Run as they stand by an owner they are enough."""
    await sides.db.execute("create role clerk login password 'clerk'")
    parts = urlsplit(demo.database_url)
    url = urlunsplit(parts._replace(netloc=f"clerk:clerk@{parts.hostname}:{parts.port}"))
    variables = {
        "DATABASE_URL": url,
        "PIPEDRIVE_URL": demo.facts["sandbox_url"],
        "PIPEDRIVE_API_TOKEN": demo.facts["sandbox_api_token"],
    }
    done = await connector("check", str(MAPPINGS), **variables)
    assert done.code == 1
    grants = [line.strip() for line in done.err.splitlines() if line.strip().startswith("GRANT ")]
    assert 'GRANT USAGE ON SCHEMA "app" TO "clerk";' in grants
    assert len(grants) == len(set(grants))
    for grant in grants:
        await sides.db.execute(grant)
    settled = await connector("check", str(MAPPINGS), **variables)
    assert settled.code == 0, settled.err


async def test_a_wrong_token_is_a_finding(demo: Demo) -> None:
    """With what to do; the rest is still looked at."""
    done = await connector(
        *("check", str(MAPPINGS), "--json"),
        DATABASE_URL=demo.database_url,
        PIPEDRIVE_URL=demo.facts["sandbox_url"],
        PIPEDRIVE_API_TOKEN="0" * 40,
    )
    assert done.code == 1
    (finding,) = [each for each in done.json["findings"] if each["level"] == "error"]
    assert (finding["check"], bool(finding["advice"])) == ("crm", True)
    assert "0" * 40 not in done.out + done.err
