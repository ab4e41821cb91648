"""A small CRM account and a small database schema as values, for tests of `bind`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from connector.config.loader import parse_set
from connector.core.bind import bind
from connector.core.line import Bound
from connector.core.mapping import MappingSet
from connector.core.pins import Pins
from connector.core.schema import Column, CrmField, FieldType, Metadata, Option, Stage, Table, User

CONNECTION = "crm: pipedrive\ncredentials: {api_token: env:TOKEN}\n"
CUSTOMER_TIER = "c" * 40


def _field(key: str, type_: FieldType, *, writable: bool = True, options: Iterable[Option] = ()) -> CrmField:
    return CrmField(key, key.replace("_", " ").capitalize(), type_, writable=writable, options=tuple(options))


def custom(key: str, name: str, type_: FieldType, options: Iterable[str] = ()) -> CrmField:
    """A custom field; its options get ids of their own."""
    return CrmField(key, name, type_, custom=True, options=tuple(Option(str(i), o) for i, o in enumerate(options, 70)))


_COMMON = (
    _field("id", FieldType.ID, writable=False),
    _field("owner_id", FieldType.USER),
    _field("add_time", FieldType.DATETIME, writable=False),
)
PERSON = (
    *_COMMON,
    _field("name", FieldType.TEXT),
    _field("first_name", FieldType.TEXT),
    _field("last_name", FieldType.TEXT),
    _field("emails", FieldType.EMAILS),
    _field("phones", FieldType.PHONES),
    _field("org_id", FieldType.ORG),
    custom(CUSTOMER_TIER, "Customer tier", FieldType.ENUM, ("Gold", "Silver")),
    custom("d" * 40, "Score", FieldType.NUMBER),
    custom("e" * 40, "Region", FieldType.TEXT),
    custom("f" * 40, "Region", FieldType.TEXT),
)
ORGANIZATION = (
    *_COMMON,
    _field("name", FieldType.TEXT),
    custom("a" * 40, "Main contact", FieldType.PERSON),
    custom("b" * 40, "Partner", FieldType.ORG),
)
DEAL = (
    *_COMMON,
    _field("title", FieldType.TEXT),
    _field("value", FieldType.NUMBER),
    _field("currency", FieldType.CURRENCY),
    _field("status", FieldType.KEY, options=[Option("open", "Open"), Option("won", "Won"), Option("lost", "Lost")]),
    _field("stage_id", FieldType.STAGE),
    _field("pipeline_id", FieldType.PIPELINE),
    _field("person_id", FieldType.PERSON),
    _field("org_id", FieldType.ORG),
)
ACTIVITY = (
    *_COMMON,
    _field("subject", FieldType.TEXT),
    _field("type", FieldType.KEY, options=[Option("call", "Call"), Option("task", "Task"), Option("email", "E-mail")]),
    _field("done", FieldType.BOOLEAN),
    _field("note", FieldType.HTML),
    _field("person_id", FieldType.PERSON),
)
NOTE = (
    *_COMMON,
    _field("content", FieldType.HTML),
    _field("person_id", FieldType.PERSON),
    _field("org_id", FieldType.ORG),
)
METADATA = Metadata(
    fields={"person": PERSON, "organization": ORGANIZATION, "deal": DEAL, "activity": ACTIVITY, "note": NOTE},
    pipelines={"1": "Sales", "2": "Renewals"},
    stages=(Stage("1", "Lead in", "1"), Stage("2", "Demo scheduled", "1"), Stage("3", "Upcoming", "2")),
    users=(User("1", "Ana", "ana@acme.test"), User("2", "Ben", "ben@acme.test")),
    needs={"note": (("content",), ("person_id", "org_id"))},
)


def column(name: str, kind: str = "text", *, null: bool = True, default: str | None = None) -> Column:
    """A column whose type is called like its kind."""
    return Column(name, {"integer": "bigint"}.get(kind, kind), kind, nullable=null, default=default)


def table(name: str, *columns: Column, key: tuple[str, ...] = ("id",)) -> Table:
    """A table of schema app."""
    return Table("app", name, {each.name: each for each in columns}, key)


ID = Column("id", "bigint", "integer", nullable=False, identity=True)
CONTACTS = table(
    "contacts",
    ID,
    *(column(name) for name in ("first_name", "last_name", "email", "phone", "tier", "region", "owner_email", "bio")),
    column("company_id", "integer"),
    column("score", "number"),
    column("pipedrive_id", "integer"),
    column("born", "date"),
    column("archived_at", "timestamptz"),
    Column("full_name", "text", "text", generated=True),
)
TABLES = {
    ("app", each.name): each
    for each in (
        CONTACTS,
        table("companies", ID, column("name", null=False), column("contact_id", "integer"), column("token", "uuid")),
        table("deals", ID, column("title"), column("state"), column("step"), column("contact_id", "integer")),
        table("tags", column("code", null=False), column("label"), key=("code",)),
        table("days", column("day", "date", null=False), column("b"), key=("day",)),
        table("friends", ID, column("friend_id", "integer", null=False), column("name")),
        replace(table("grown_ups", column("name")), relation="view", primary_key=()),
        table("pairs", column("a"), column("b"), key=("a", "b")),
        table("calls", ID, column("subject"), column("contact_id", "integer", null=False), column("log_id", "integer")),
    )
}


def bound(
    files: Mapping[str, str], *, pins: Pins | None = None, quarantine: bool = False, metadata: Metadata = METADATA
) -> Bound:
    """The set of these mapping files (stem → YAML) bound with the account and the tables above."""
    return bind(loaded(files), metadata, TABLES, pins=pins, quarantine=quarantine)


def loaded(files: Mapping[str, str]) -> MappingSet:
    """The set of these mapping files (stem → YAML)."""
    texts = {f"{stem}.yaml": content for stem, content in files.items()}
    return parse_set({"connection.yaml": CONNECTION, **texts}, name="acme").set


def problems(files: Mapping[str, str]) -> list[str]:
    """What `bind` complains about, as people read it."""
    return [str(problem) for problem in bound(files).problems]
