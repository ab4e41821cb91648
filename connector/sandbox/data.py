"""Sample data, a function of the seed: a small company with unicode names, typed custom fields, notes, activities."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from connector.sandbox import notes, records
from connector.sandbox.activities import ACTIVITY
from connector.sandbox.deals import DEAL
from connector.sandbox.entity import Entity
from connector.sandbox.model import Actor, Context
from connector.sandbox.persons import ORGANIZATION, PERSON
from connector.sandbox.pipelines import PIPELINE, STAGE
from connector.sandbox.refusals import Refusal, bad_request
from connector.sandbox.wire import Json, Record
from connector.sandbox.world import World
from connector.sandbox.world import found as found_account

FIRST = (
    "Ada", "Zoë", "José", "Łukasz", "Søren", "Nguyễn", "Ольга", "Μαρία", "太郎", "יעל", "أمل", "Siân", "Çağla", "Ana",
    "Béla", "Chidi", "Dagný", "Émile", "Freya", "Grace", "Håkon", "Ines", "Jürgen", "Kateřina", "Liam", "Mirjam",
)  # fmt: skip
LAST = (
    "Núñez", "Żółć", "O'Brien", "Müller-Lüdenscheidt", "van der Berg", "Szabó", "Иванова", "Παπαδοπούλου", "山田",
    "כהן", "Smith", "Andersson", "García Márquez", "Đorđević", "Ñandú", "Kowalczyk", "Þórsdóttir", "Öztürk", "Ng",
)  # fmt: skip
FIRMS = (
    "Łódź Robotics", "Müller & Söhne GmbH", "株式会社サンプル", "Café Élan", "Nova d.o.o.", "Ørsted Marine",
    "Ζέφυρος Energy", "Smörgås AB", "Quai 54", "Tiger 🐯 Media", "Ärzte & Partner", 'Delta "Q" Systems', "Acme <Labs>",
)  # fmt: skip
CITIES = (
    ("Berlin", "Germany"),
    ("Kraków", "Poland"),
    ("東京", "Japan"),
    ("São Paulo", "Brazil"),
    ("Zürich", "Switzerland"),
)
STAGES = {
    "Sales": ("Lead in", "Contact made", "Demo scheduled", "Proposal made", "Negotiation"),
    "Renewals": ("Upcoming", "In talks", "Verbal yes"),
}
FIELDS: dict[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
    "person": (
        ("Customer tier", "enum", ("Gold", "Silver", "Bronze")),
        ("Score", "double", ()),
        ("Secondary phone", "phone", ()),
        ("Newsletter topics", "set", ("Product", "Events", "Prices")),
        ("Birthday", "date", ()),
        ("Job role", "varchar", ()),
    ),
    "organization": (
        ("Segment", "set", ("SMB", "Mid-market", "Enterprise", "Öffentlich")),
        ("Account manager", "user", ()),
        ("Contract period", "daterange", ()),
        ("Billing address", "address", ()),
        ("VAT number", "varchar", ()),
    ),
    "deal": (
        ("ARR", "monetary", ()),
        ("Start date", "date", ()),
        ("Lead source", "enum", ("Inbound", "Outbound", "Empfehlung")),
        ("Decision maker", "people", ()),
        ("Demo slot", "timerange", ()),
        ("Comments", "text", ()),
    ),
}


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes bodies: the world to refer to, the seeded chance, and the running number."""

    world: World
    chance: random.Random

    def custom(self, entity: str, values: Record) -> Record:
        """Respell values by field name as values by field code; fields that are absent are left out."""
        codes = {field.name: field.code for field in self.world.fields.custom(entity)}
        return {codes[name]: value for name, value in values.items() if name in codes and value is not None}

    def option(self, entity: str, name: str) -> Json:
        """Pick one option of a field; null when the field is absent."""
        fields = [field for field in self.world.fields.custom(entity) if field.name == name]
        return self.chance.choice(fields[0].options or ()).id if fields else None

    def some(self, entity: str) -> int | None:
        """Pick one record of an entity, mostly; ids are dense."""
        top = self.world.tables[entity].next_id - 1
        key = self.chance.randint(1, top) if top and self.chance.random() < 0.9 else None  # noqa: PLR2004
        return key if key is not None and self.world.has(entity, key) else None

    def user(self) -> int:
        """Pick a user."""
        return self.chance.choice(list(self.world.users))


def person(make: Maker, number: int) -> Record:
    """Make the body of a person; e-mails are unique by number."""
    pick = make.chance
    first, last = pick.choice(FIRST), pick.choice(LAST)
    address = f"person{number}@example{number % 97}.test"
    custom = {
        "Customer tier": make.option("person", "Customer tier"),
        "Score": round(pick.uniform(0, 100), 2),
        "Secondary phone": f"+4930{number:07d}" if number % 3 == 0 else None,
        "Job role": pick.choice(("CEO", "Käuferin", "Entwickler", None)),
    }
    return {
        "first_name": first,
        "last_name": last,
        "owner_id": make.user(),
        "org_id": make.some("organization"),
        "emails": [{"value": address, "primary": True, "label": "work"}],
        "phones": [{"value": f"+48 22 {number:07d}", "primary": True, "label": "work"}],
        "custom_fields": make.custom("person", custom),
    }


def organization(make: Maker, number: int) -> Record:
    """Make the body of an organization."""
    pick = make.chance
    city, country = pick.choice(CITIES)
    custom = {
        "Segment": [segment] if (segment := make.option("organization", "Segment")) else None,
        "Account manager": make.user(),
        "VAT number": f"EU{number:09d}",
    }
    return {
        "name": f"{pick.choice(FIRMS)} {number}",
        "owner_id": make.user(),
        "address": {"value": f"{city}, {country}", "locality": city, "country": country},
        "website": f"https://org{number}.test",
        "custom_fields": make.custom("organization", custom),
    }


def deal(make: Maker, number: int) -> Record:
    """Make the body of a deal, two thirds of them open."""
    pick = make.chance
    stages = [each["id"] for each in make.world.tables["stage"].live()]
    custom = {
        "ARR": {"value": pick.randint(1, 500) * 100, "currency": pick.choice(("EUR", "USD", "PLN"))},
        "Start date": f"2026-{pick.randint(1, 12):02d}-{pick.randint(1, 28):02d}",
        "Lead source": make.option("deal", "Lead source"),
    }
    return {
        "title": f"{pick.choice(('Dach', 'Rollout', 'Übernahme', 'Lizenzen', 'パイロット'))} {number}",
        "owner_id": make.user(),
        "person_id": make.some("person"),
        "org_id": make.some("organization"),
        "value": pick.randint(0, 20_000) / 2,
        "currency": pick.choice(("EUR", "USD", "GBP")),
        **({"stage_id": pick.choice(stages)} if stages else {}),
        "status": pick.choice(("open", "open", "open", "open", "won", "lost")),
        "expected_close_date": f"2027-{pick.randint(1, 12):02d}-{pick.randint(1, 28):02d}",
        "custom_fields": make.custom("deal", custom),
    }


def activity(make: Maker, number: int) -> Record:
    """Make the body of an activity."""
    pick = make.chance
    who = make.some("person")
    return {
        "subject": f"{pick.choice(('Anruf', 'Demo', 'Follow-up', 'Déjeuner'))} {number}",
        "type": pick.choice(("call", "meeting", "task", "email")),
        "due_date": f"2026-{pick.randint(1, 12):02d}-{pick.randint(1, 28):02d}",
        "due_time": pick.choice(("09:15", "14:00:00", None)),
        "duration": pick.choice(("00:30", "01:00", None)),
        "done": pick.random() < 0.5,  # noqa: PLR2004
        "deal_id": make.some("deal"),
        "org_id": make.some("organization"),
        "participants": [{"person_id": who, "primary": True}] if who else [],
        "note": "<b>Agenda</b>: größer &amp; schneller",
    }


def note(make: Maker, number: int) -> Record:
    """Make the body of a note."""
    link = "deal_id" if number % 2 else "person_id"
    target = make.some("deal" if number % 2 else "person") or 1
    return {"content": f"<p>Notiz {number}: <i>naïve</i> café</p>", link: target}


BODIES: dict[str, Callable[[Maker, int], Record]] = {
    "person": person,
    "organization": organization,
    "deal": deal,
    "activity": activity,
    "note": note,
}


def found(world: World, context: Context, count: int, seed: int) -> None:
    """Found the company: its pipelines, stages, custom fields and about ``count`` persons with what belongs to them."""
    context.quiet = True
    found_account(world, context.now)
    admin = Actor(next(iter(world.users)), "app")
    _structure(world, Context(context.at - timedelta(days=400), admin, quiet=True), sampled=count > 0)
    shares = ((ORGANIZATION, count // 3), (PERSON, count), (DEAL, count // 2), (ACTIVITY, count // 3))
    make = Maker(world, random.Random(seed))
    for entity, number in shares:
        _spread(make, context, entity, number)
    for number in range(1, count // 5 + 1):
        notes.create(world, _past(make, context, number, count), note(make, number))


def _structure(world: World, context: Context, *, sampled: bool) -> None:
    for pipeline, stages in STAGES.items() if sampled else (("Pipeline", STAGES["Sales"]),):
        made = records.create(world, context, PIPELINE, {"name": pipeline})
        for stage in stages:
            records.create(world, context, STAGE, {"name": stage, "pipeline_id": made["id"]})
    for entity, fields in FIELDS.items() if sampled else ():
        for name, type_, labels in fields:
            world.fields.create(entity, name=name, type_=type_, labels=labels)


def _spread(make: Maker, context: Context, entity: Entity, count: int) -> None:
    """Make records over the past year, oldest first."""
    for number in range(1, count + 1):
        records.create(make.world, _past(make, context, number, count), entity, BODIES[entity.name](make, number))


def _past(make: Maker, context: Context, number: int, count: int) -> Context:
    at = context.at - timedelta(days=365) * (1 - number / (count + 1))
    return Context(at, Actor(make.user(), "app"), quiet=True)


def bulk(world: World, context: Context, entity: Entity, given: Json, seed: int) -> list[int]:
    """Make many records at once, from bodies or so many by the seed; gives their ids. One refused: none is made."""
    make = Maker(world, random.Random(seed))
    if entity.name not in BODIES and not isinstance(given, list):
        raise bad_request(f"only {', '.join(BODIES)} can be made by count")
    table = world.tables[entity.name]
    first = table.next_id
    wanted = given if isinstance(given, list) else (BODIES[entity.name](make, first + n) for n in range(int(given)))
    try:
        return [_one(world, context, entity, body) for body in wanted]
    except Refusal:
        for key in range(first, table.next_id):
            table.remove(key)
        table.next_id = first
        raise


def _one(world: World, context: Context, entity: Entity, body: Json) -> int:
    made = notes.create(world, context, body) if entity is notes.NOTE else records.create(world, context, entity, body)
    return int(made["id"])
