"""Ada on both sides of one mapping, whose schemas move: what the tests of the schema guard begin with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from connector.engine.context import Context
from connector.store import report
from tests.engine.rig import Rig, rig

SPEED = 20.0
TABLES = """
create schema app;
create table app.contacts (id bigint generated always as identity primary key, name text, email text, tier text,
  score integer, crm_id bigint);
"""
CONTACT = """
object: person
table: app.contacts
key: id
direction: both
match: [email]
fields:
  - {column: name, crm: name}
  - {column: email, crm: emails, as: primary}
  - {column: tier, crm: Customer tier, as: text}
  - {column: score, crm: Score}
  - {column: crm_id, crm: id}
"""


class World:
    """Both sides of one contact, Ada: gold, 7 points."""

    def __init__(self, made: Rig) -> None:
        self.rig, self.db = made, made.db
        self.keys: dict[str, str] = {}
        self.person = 0

    async def field(self, name: str, kind: str) -> str:
        """Makes a custom field of persons."""
        made = await self.rig.crm("POST", "/api/v2/personFields", {"field_name": name, "field_type": kind})
        key: str = made["field_code"]
        self.keys[name] = key
        return key

    async def begin(self) -> None:
        """Ada is on both sides, and all is quiet."""
        await self.field("Customer tier", "varchar")
        await self.field("Score", "double")
        await self.rig.start()
        await self.db.execute(
            "insert into app.contacts (name, email, tier, score) values ('Ada', 'ada@x.test', 'gold', 7)"
        )
        await self.rig.quiet()
        self.person = await self.db.fetchval("select crm_id from app.contacts")

    async def record(self) -> dict[str, Any]:
        """What the CRM says of Ada, custom fields by name."""
        read = await self.rig.crm("GET", f"/api/v2/persons/{self.person}")
        custom = read["custom_fields"] or {}
        return {**read, **{name: custom.get(key) for name, key in self.keys.items()}}

    async def edit(self, **values: Any) -> None:
        """Somebody edits Ada in the CRM."""
        built_in = {name: value for name, value in values.items() if name == "name"}
        custom = {self.keys[name.replace("_", " ")]: value for name, value in values.items() if name != "name"}
        body = {**built_in, **({"custom_fields": custom} if custom else {})}
        await self.rig.crm("PATCH", f"/api/v2/persons/{self.person}", body)

    async def row(self) -> dict[str, Any]:
        """Ada's row."""
        found = await self.db.fetchrow("select * from app.contacts")
        assert found is not None
        return dict(found)

    @property
    def context(self) -> Context:
        """The owner's."""
        assert self.rig.daemon is not None
        context = self.rig.daemon.running["test"].context
        assert context is not None
        return context

    async def aside(self, *lines: str) -> None:
        """Waits until just these lines are set aside, as an operator is told."""

        async def told() -> bool:
            found = await report.quarantined(self.db, report.Now("test", self.rig.clock.now()))  # type: ignore[arg-type]
            here = {line for _, line in self.context.rules.bound.pins.aside}
            return here == {line for _, line, _ in found} == set(lines)

        await self.rig.until(told)

    async def agreed(self, probe: Callable[[], Awaitable[bool]]) -> None:
        """Waits until both sides say so, and that the daemon then rests."""
        await self.rig.until(probe)
        await self.rig.quiet()
        assert await probe()

    async def crm_says(self, **expected: Any) -> None:
        """Waits until the CRM says so."""

        async def says() -> bool:
            record = await self.record()
            return all(record[name.replace("_", " ")] == value for name, value in expected.items())

        await self.agreed(says)

    async def row_says(self, **expected: Any) -> None:
        """Waits until the row says so."""

        async def says() -> bool:
            row = await self.row()
            return all(row[name] == value for name, value in expected.items())

        await self.agreed(says)


@asynccontextmanager
async def begun(database: str, tmp_path: Path) -> AsyncIterator[World]:
    """Ada on both sides under a running daemon."""
    async with rig(database, tmp_path / "set", {"contact.yaml": CONTACT}, TABLES, speed=SPEED, webhooks=True) as made:
        found = World(made)
        await found.begin()
        yield found
