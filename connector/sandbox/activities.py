"""Activities (OpenAPI v2; REFERENCE of the API §6.4): the person is the primary participant, times are UTC."""

from connector.sandbox import bodies
from connector.sandbox.bodies import Invalid, Lookup
from connector.sandbox.entity import Entity, Scene
from connector.sandbox.model import Context
from connector.sandbox.records import overlay
from connector.sandbox.refusals import invalid
from connector.sandbox.wire import Json, Record
from connector.sandbox.world import World

_TEXT = bodies.maybe(bodies.text(empty=True))


def _type(value: Json, world: Lookup) -> Json:
    if not world.has_type(bodies.text()(value, world)):
        raise Invalid("activity type not found")
    return value


def _participants(value: Json, world: Lookup) -> Json:
    if not isinstance(value, list):
        raise Invalid("must be an array of objects")
    people = [_participant(each, world) for each in value]
    chosen = next((at for at, each in enumerate(people) if each["primary"]), 0)
    return [{**each, "primary": at == chosen} for at, each in enumerate(people)]


def _participant(value: Json, world: Lookup) -> Record:
    if not isinstance(value, dict) or not value.keys() <= {"person_id", "primary"}:
        raise Invalid("must hold objects of person_id and primary")
    person = bodies.reference("person")(value.get("person_id"), world)
    return {"person_id": person, "primary": bodies.boolean(value.get("primary", False), world)}


def _attendees(value: Json, _world: Lookup) -> Json:
    if not isinstance(value, list) or not all(isinstance(each, dict) and "email" in each for each in value):
        raise Invalid("must be an array of objects with an email")
    return [{"name": "", "status": "noreply", "is_organizer": False, **each} for each in value]


def _priority(value: Json, world: Lookup) -> Json:
    if not world.has_option("activity", "priority", bodies.integer(value, world)):
        raise Invalid("option not found")
    return value


_SHAPE = {
    "subject": bodies.text(),
    "type": _type,
    "owner_id": bodies.reference("user"),
    "deal_id": bodies.maybe(bodies.reference("deal")),
    "lead_id": _TEXT,
    "person_id": bodies.maybe(bodies.reference("person")),
    "org_id": bodies.maybe(bodies.reference("organization")),
    "project_id": bodies.maybe(bodies.integer),
    "due_date": bodies.maybe(bodies.day),
    "due_time": bodies.maybe(bodies.clock),
    "duration": bodies.maybe(bodies.clock),
    "busy": bodies.boolean,
    "done": bodies.boolean,
    "location": bodies.maybe(bodies.address),
    "participants": _participants,
    "attendees": bodies.maybe(_attendees),
    "public_description": _TEXT,
    "priority": bodies.maybe(_priority),
    "outcome": bodies.maybe(bodies.integer),
    "note": bodies.maybe(bodies.html),
}


def _settle(scene: Scene) -> Record:
    activity = overlay(scene)
    activity.update(_people(scene))
    if scene.fresh:
        activity.update(_first(scene, activity))
    if activity["done"] != scene.old["done"]:
        activity["marked_as_done_time"] = scene.context.now if activity["done"] else None
    activity["update_user_id"] = None if scene.fresh else scene.old["update_user_id"]
    if activity != scene.old and not scene.fresh:
        activity["update_user_id"] = scene.context.actor.user_id
    return activity


def _people(scene: Scene) -> Record:
    """Keep person_id and the primary participant one."""
    if "participants" in scene.given:
        primary = next((each["person_id"] for each in scene.given["participants"] if each["primary"]), None)
        return {"person_id": primary}
    if "person_id" not in scene.given:
        return {}
    if scene.world.switches.activity_person_id == "refuse":
        raise invalid({"person_id": "is read-only, use participants"})
    person = scene.given["person_id"]
    return {"participants": [] if person is None else [{"person_id": person, "primary": True}]}


def _first(scene: Scene, activity: Record) -> Record:
    """Fill a new activity: due today, named by its type, busy when it has a time."""
    types = scene.world.tables["activity_type"].live()
    name = next((each["name"] for each in types if each["key_string"] == activity["type"]), "Call")
    return {
        "subject": activity["subject"] or name,
        "due_date": activity["due_date"] or scene.context.now[:10],
        "busy": scene.given.get("busy", activity["due_time"] is not None),
    }


def _blank(_world: World, context: Context) -> Record:
    return {
        **dict.fromkeys(ACTIVITY.keys),
        "type": "call",
        "owner_id": context.actor.user_id,
        "creator_user_id": context.actor.user_id,
        "is_deleted": False,
        "done": False,
        "busy": False,
        "participants": [],
        "attendees": None,
        "update_user_id": None,
    }


def _tell(_world: World, activity: Record) -> Record:
    data = {key: activity[key] for key in (*ACTIVITY.keys, "attendees", "update_user_id")}
    data["active_flag"] = not data.pop("is_deleted")
    data["busy_flag"] = data.pop("busy")
    for key in ("due_time", "duration"):
        data[key] = None if data[key] is None else {"value": data[key], "timezone_id": None}
    return data


ACTIVITY = Entity(
    name="activity",
    keys=(
        "id",
        "subject",
        "type",
        "owner_id",
        "creator_user_id",
        "is_deleted",
        "add_time",
        "update_time",
        "deal_id",
        "lead_id",
        "person_id",
        "org_id",
        "project_id",
        "due_date",
        "due_time",
        "duration",
        "busy",
        "done",
        "marked_as_done_time",
        "location",
        "participants",
        "conference_meeting_client",
        "conference_meeting_url",
        "conference_meeting_id",
        "public_description",
        "priority",
        "outcome",
        "note",
    ),
    create=_SHAPE,
    update=_SHAPE,
    required=(),
    blank=_blank,
    settle=_settle,
    tell=_tell,
)
