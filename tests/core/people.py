"""A made-up table and CRM object joined by real `bind`, and what an application of a plan would leave behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from connector.config.loader import parse_set
from connector.core.bind import bind
from connector.core.line import BoundMapping, Line, Refs
from connector.core.merge import Decision, Parent, Verdict
from connector.core.model import (
    ABSENT,
    AppKey,
    Clocks,
    CrmId,
    Json,
    Link,
    LinkId,
    LinkState,
    Pair,
    Record,
    Row,
    Side,
)
from connector.core.plan import InsertRow, Plan, Situation, UpdateRecord, UpdateRow, plan
from connector.core.review import open_conflicts
from connector.core.schema import Column, CrmField, FieldType, Metadata, Option, Table, User

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
KEY, CRM_ID = AppKey("1"), CrmId("501")
TIER, SCORE, ROLE = "a" * 40, "b" * 40, "c" * 40
PERSON = (
    CrmField("id", "ID", FieldType.ID, writable=False),
    CrmField("name", "Name", FieldType.TEXT),
    CrmField("job", "Job", FieldType.TEXT),
    CrmField("org_id", "Organization", FieldType.ORG),
    CrmField("owner_id", "Owner", FieldType.USER),
    CrmField(ROLE, "Role", FieldType.TEXT, custom=True),
    CrmField(SCORE, "Score", FieldType.NUMBER, custom=True),
    CrmField(TIER, "Tier", FieldType.ENUM, custom=True, options=(Option("70", "Gold"), Option("71", "Silver"))),
)
METADATA = Metadata(
    fields={"person": PERSON, "organization": (PERSON[0], PERSON[1])},
    users=(User("1", "Ana", "ana@acme.test"),),
)
ID = Column("id", "bigint", "integer", nullable=False, identity=True)
COLUMNS = (
    ID,
    *(Column(name, "text", "text") for name in ("name", "job", "role", "tier", "owner", "status")),
    Column("score", "numeric", "number"),
    Column("company_id", "bigint", "integer"),
    Column("archived_at", "timestamptz", "timestamptz"),
)
TABLES = {
    ("app", "people"): Table("app", "people", {c.name: c for c in COLUMNS}, ("id",)),
    ("app", "companies"): Table(
        "app", "companies", {"id": ID, "name": Column("name", "text", "text", nullable=False)}, ("id",)
    ),
}
CONNECTION = "crm: pipedrive\ncredentials: {api_token: env:TOKEN}\n"
COMPANY = """
object: organization
table: app.companies
key: id
direction: both
fields:
  - {column: name, crm: name}
"""
REFS = Refs({("company", AppKey("5")): CrmId("12")}, {("company", CrmId("12")): AppKey("5")})
"""Company 5 of the app is organization 12 of the CRM; no other company is known on both sides yet."""


def mapping(body: str) -> BoundMapping:
    """The mapping `person` with this YAML behind `object`, `table` and `key`, bound for work."""
    head = "object: person\ntable: app.people\nkey: id\n"
    files = {"connection.yaml": CONNECTION, "person.yaml": head + body, "company.yaml": COMPANY}
    found = bind(parse_set(files, name="acme").set, METADATA, TABLES)
    errors = [str(problem) for problem in found.problems if not problem.warning]
    assert not errors, errors
    return found.mappings["person"]


@dataclass(frozen=True, slots=True)
class Couple:
    """One row and one record under a mapping, with their link: what the engine would keep of them."""

    mapping: BoundMapping
    columns: Mapping[str, str | None]
    fields: Mapping[str, Json]
    link: Link = field(
        default_factory=lambda: Link(LinkId(1), "person", "person", KEY, CRM_ID, LinkState.LINKED, Side.APP)
    )
    clocks: Clocks = field(default_factory=Clocks)
    unreachable: frozenset[Parent] = frozenset()
    dead: frozenset[Parent] = frozenset()
    archived: bool = False
    braked: frozenset[str] = frozenset()

    @property
    def row(self) -> Row:
        """The row as the engine reads it."""
        return Row(KEY, {c.name: self.columns.get(c.name) for c in COLUMNS})

    @property
    def record(self) -> Record:
        """The record as the engine reads it."""
        return Record("person", CRM_ID, self.fields, archived=self.archived)

    def situation(self) -> Situation:
        """All of it, observed."""
        away = self.unreachable | self.dead
        situation = Situation(
            self.mapping, self.link, self.row, self.record, METADATA, NOW, self.clocks, REFS, away, self.dead
        )
        return replace(situation, braked=self.braked)

    def plan(self) -> Plan:
        """What the engine would do."""
        return plan(self.situation())

    def agreed(self) -> Couple:
        """The same with every line's base as both sides are now."""
        base = {line.name: self._as_is(line) for line in self.mapping.every_line}
        return replace(self, link=replace(self.link, base=base))

    def based(self, columns: Mapping[str, str | None], fields: Mapping[str, Json]) -> Couple:
        """The same, once agreed on these values."""
        return replace(self, link=replace(self, columns=columns, fields=fields).agreed().link)

    def applied(self, done: Plan) -> Couple:
        """What both sides and the base are once the plan has happened, as `engine.apply` does it."""
        columns = {**self.columns, **(done.row.columns if isinstance(done.row, UpdateRow | InsertRow) else {})}
        fields = {**self.fields, **(done.record.fields if isinstance(done.record, UpdateRecord) else {})}
        after = replace(self, columns=columns, fields=fields)
        base = {**self.link.base, **{d.line.name: after.new_base(d) for d in done.decisions if d.base is not None}}
        moved = [d for d in done.decisions if d.verdict is not Verdict.SEND]
        conflicts = open_conflicts(self.link.conflicts, moved, self.clocks, NOW)
        return replace(after, link=replace(self.link, base=base, state=done.state, conflicts=conflicts))

    def new_base(self, d: Decision) -> Pair:
        """The base of a line after its decision."""
        assert d.base is not None
        if d.verdict is Verdict.RECEIVE:
            return Pair(d.line.converter.read_app(self.row.columns), d.base.crm, d.base.rule)
        if d.verdict is Verdict.SEND:
            held = d.line.converter.read_crm(self.fields)
            return Pair(d.base.app, d.base.crm if held is ABSENT else held, d.base.rule)
        return d.base

    def _as_is(self, line: Line) -> Pair:
        held = line.converter.read_crm(self.fields)
        return Pair(line.converter.read_app(self.row.columns), None if held is ABSENT else held, line.rule)
