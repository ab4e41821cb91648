"""Persons and organizations (OpenAPI v2; REFERENCE of the API §6.1, §6.2)."""

from connector.sandbox import bodies
from connector.sandbox.entity import Entity, Scene
from connector.sandbox.model import Context
from connector.sandbox.records import with_custom
from connector.sandbox.refusals import invalid
from connector.sandbox.wire import Record
from connector.sandbox.world import World

_UNTIDY = str.maketrans("", "", " ()-")
_NO_CONTACT_SYNC = bodies.refused(403, "Contact Sync is not enabled for this company")
_NAME = bodies.maybe(bodies.text(255, empty=True))
_PERSON = {
    "name": bodies.text(255),
    "first_name": _NAME,
    "last_name": _NAME,
    "owner_id": bodies.reference("user"),
    "org_id": bodies.maybe(bodies.reference("organization")),
    "emails": bodies.channels,
    "phones": bodies.channels,
    "label_ids": bodies.labels("person"),
    "visible_to": bodies.one_of(1, 3, 5, 7),
    "custom_fields": bodies.custom("person"),
    "postal_address": _NO_CONTACT_SYNC,
    "notes": _NO_CONTACT_SYNC,
    "im": _NO_CONTACT_SYNC,
    "birthday": _NO_CONTACT_SYNC,
    "job_title": _NO_CONTACT_SYNC,
    "marketing_status": bodies.refused(403, "Campaigns are not enabled for this company"),
}
_ORGANIZATION = {
    "name": bodies.text(255),
    "owner_id": bodies.reference("user"),
    "address": bodies.maybe(bodies.address),
    "label_ids": bodies.labels("organization"),
    "visible_to": bodies.one_of(1, 3, 5, 7),
    "website": bodies.maybe(bodies.text(empty=True)),
    "linkedin": bodies.maybe(bodies.text(empty=True)),
    "industry": bodies.maybe(bodies.integer),
    "annual_revenue": bodies.maybe(bodies.integer),
    "employee_count": bodies.maybe(bodies.integer),
    "custom_fields": bodies.custom("organization"),
}


def split_name(name: str) -> tuple[str | None, str | None]:
    """Split at the first space; one word is a first name only."""
    first, _, last = name.strip().partition(" ")
    return first, last.strip() or None


def _settle_person(scene: Scene) -> Record:
    person = with_custom(scene)
    given = scene.given
    if scene.world.switches.tidy_phones:
        person["phones"] = [{**each, "value": each["value"].translate(_UNTIDY)} for each in person["phones"]]
    if "name" in given and not {"first_name", "last_name"} & given.keys():
        person["first_name"], person["last_name"] = split_name(given["name"])
    elif {"first_name", "last_name"} & given.keys():
        person.update(_joined(scene, person))
    elif scene.fresh:
        raise invalid({"name": "is required"})
    return person


def _joined(scene: Scene, person: Record) -> Record:
    """Join the name from its parts; a new person needs both parts, either may be empty."""
    if scene.fresh and "name" not in scene.given and not {"first_name", "last_name"} <= scene.given.keys():
        raise invalid({"name": "name, or both first_name and last_name, are required"})
    first, last = person["first_name"] or None, person["last_name"] or None
    if not (first or last):
        raise invalid({"name": "first_name and last_name must not both be empty"})
    return {"name": " ".join(part for part in (first, last) if part), "first_name": first, "last_name": last}


def _blank_person(_world: World, context: Context) -> Record:
    return {
        "name": "",
        "first_name": None,
        "last_name": None,
        "owner_id": context.actor.user_id,
        "org_id": None,
        "emails": [],
        "phones": [],
        "is_deleted": False,
        "visible_to": 3,
        "label_ids": [],
        "picture_id": None,
        "custom_fields": {},
    }


def _blank_organization(_world: World, context: Context) -> Record:
    return {
        "name": "",
        "owner_id": context.actor.user_id,
        "is_deleted": False,
        "visible_to": 3,
        "address": None,
        "label_ids": [],
        "website": None,
        "linkedin": None,
        "industry": None,
        "annual_revenue": None,
        "employee_count": None,
        "custom_fields": {},
    }


def _tell_person(world: World, person: Record) -> Record:
    data = {key: person[key] for key in PERSON.keys if key != "is_deleted"}
    return {**data, **_told(world, "person", person)}


def _tell_organization(world: World, organization: Record) -> Record:
    data = {key: organization[key] for key in ORGANIZATION.keys if key != "is_deleted"}
    country = (organization["address"] or {}).get("country")
    return {**data, "country_code": country, **_told(world, "organization", organization)}


def _told(world: World, entity: str, record: Record) -> Record:
    """What webhooks spell otherwise: visible_to as text, the first label alone too, typed custom fields."""
    return {
        "label": next(iter(record["label_ids"]), None),
        "visible_to": str(record["visible_to"]),
        "custom_fields": world.tell_custom(entity, record["custom_fields"]),
    }


PERSON = Entity(
    name="person",
    keys=(
        "id",
        "name",
        "first_name",
        "last_name",
        "add_time",
        "update_time",
        "visible_to",
        "is_deleted",
        "owner_id",
        "org_id",
        "emails",
        "phones",
        "label_ids",
        "picture_id",
        "custom_fields",
    ),
    create={**_PERSON, "add_time": bodies.moment},
    update=_PERSON,
    required=(),
    blank=_blank_person,
    settle=_settle_person,
    tell=_tell_person,
    silent_previous=("update_time",),
)
ORGANIZATION = Entity(
    name="organization",
    keys=(
        "id",
        "name",
        "owner_id",
        "add_time",
        "update_time",
        "is_deleted",
        "visible_to",
        "address",
        "label_ids",
        "website",
        "linkedin",
        "industry",
        "annual_revenue",
        "employee_count",
        "custom_fields",
    ),
    create={**_ORGANIZATION, "add_time": bodies.moment},
    update=_ORGANIZATION,
    required=("name",),
    blank=_blank_organization,
    settle=with_custom,
    tell=_tell_organization,
    silent_previous=("update_time",),
)
