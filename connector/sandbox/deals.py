"""Deals: place (pipeline and stage), status with its times, archive (OpenAPI v2; REFERENCE of the API §6.3).

Transitions: won sets won_time, close_time and first_won_time; lost sets lost_time and close_time; open again clears
the times and lost_reason but keeps first_won_time.
"""

from connector.sandbox import bodies
from connector.sandbox.bodies import Invalid, Lookup
from connector.sandbox.entity import Entity, Scene
from connector.sandbox.model import Context
from connector.sandbox.records import with_custom
from connector.sandbox.refusals import invalid
from connector.sandbox.wire import Json, Record, unspaced
from connector.sandbox.world import World

_MOMENT = bodies.maybe(bodies.moment)


def _probability(value: Json, world: Lookup) -> Json:
    if not 0 <= bodies.number(value, world) <= 100:  # noqa: PLR2004
        raise Invalid("must be between 0 and 100")
    return value


def _archive_time(value: Json, world: Lookup) -> Json:
    """Take ``YYYY-MM-DD HH:MM:SS``, unlike every other time of v2."""
    return bodies.moment(unspaced(bodies.text()(value, world)), world)


def _not_deleted(value: Json, world: Lookup) -> Json:
    if bodies.boolean(value, world):
        raise Invalid("cannot be set, use DELETE")
    return value


_SHAPE = {
    "title": bodies.text(255),
    "owner_id": bodies.reference("user"),
    "person_id": bodies.maybe(bodies.reference("person")),
    "org_id": bodies.maybe(bodies.reference("organization")),
    "pipeline_id": bodies.reference("pipeline"),
    "stage_id": bodies.reference("stage"),
    "value": bodies.number,
    "currency": bodies.currency,
    "status": bodies.one_of("open", "won", "lost"),
    "probability": bodies.maybe(_probability),
    "lost_reason": bodies.maybe(bodies.text(empty=True)),
    "won_time": _MOMENT,
    "lost_time": _MOMENT,
    "close_time": _MOMENT,
    "expected_close_date": bodies.maybe(bodies.day),
    "is_archived": bodies.boolean,
    "archive_time": bodies.maybe(_archive_time),
    "is_deleted": _not_deleted,
    "label_ids": bodies.labels("deal"),
    "visible_to": bodies.one_of(1, 3, 5, 7),
    "custom_fields": bodies.custom("deal"),
}
_STATUS_KEYS = {"won_time": ("won",), "lost_time": ("lost",), "close_time": ("won", "lost"), "lost_reason": ("lost",)}


def _settle(scene: Scene) -> Record:
    _refuse_archived(scene)
    deal = with_custom(scene)
    deal.update(_place(scene))
    deal.update(_status(scene, deal["status"]))
    deal.update(_archive(scene))
    return deal


def _refuse_archived(scene: Scene) -> None:
    if scene.old["is_archived"] and scene.given.get("is_archived") is not False:
        raise invalid({"is_archived": "archived deals cannot be edited"})


def _place(scene: Scene) -> Record:
    """Follow the stage, else take the first stage of another pipeline; both given: the pipeline is ignored."""
    world, old, given = scene.world, scene.old, scene.given
    stage = given.get("stage_id") or _first_stage(world, given.get("pipeline_id"), old)
    if stage == old["stage_id"]:
        return {"pipeline_id": old["pipeline_id"]}
    record = world.get("stage", stage) or {}
    moved = old["stage_change_time"] if scene.fresh else scene.context.now
    return {"stage_id": stage, "pipeline_id": record.get("pipeline_id"), "stage_change_time": moved}


def _first_stage(world: World, pipeline: int | None, old: Record) -> Json:
    if pipeline in (None, old["pipeline_id"]):
        return old["stage_id"]
    found = first_stage(world, pipeline)
    if found is None:
        raise invalid({"pipeline_id": "pipeline has no stages"})
    return found


def first_stage(world: World, pipeline: int | None) -> int | None:
    """Find the first stage of a pipeline, by default of the first pipeline."""
    pipelines = sorted(world.tables["pipeline"].live(), key=lambda each: (each["order_nr"], each["id"]))
    wanted = pipeline or next((each["id"] for each in pipelines), None)
    stages = [each for each in world.tables["stage"].live() if each["pipeline_id"] == wanted]
    return min(((each["order_nr"], each["id"]) for each in stages), default=(0, None))[1]


def _status(scene: Scene, status: str) -> Record:
    given = scene.given
    wrong = {k: f"needs status {' or '.join(s)}" for k, s in _STATUS_KEYS.items() if given.get(k) and status not in s}
    if wrong:
        raise invalid(wrong)
    if status == scene.old["status"] and not _STATUS_KEYS.keys() & given.keys():
        return {}
    return _times(scene, status)


def _times(scene: Scene, status: str) -> Record:
    same = scene.old if status == scene.old["status"] else {}
    closed = status != "open"
    key = f"{status}_time"
    at = scene.given.get(key) or scene.given.get("close_time") or same.get(key) or scene.context.now
    won, lost = (at if status == each else None for each in ("won", "lost"))
    return {
        "won_time": won,
        "lost_time": lost,
        "close_time": (scene.given.get("close_time") or at) if closed else None,
        "first_won_time": scene.old["first_won_time"] or won,
        "lost_reason": scene.given.get("lost_reason", same.get("lost_reason")) if status == "lost" else None,
        "local_won_date": won and won[:10],
        "local_lost_date": lost and lost[:10],
        "local_close_date": at[:10] if closed else None,
    }


def _archive(scene: Scene) -> Record:
    if "is_archived" not in scene.given:
        return {"archive_time": scene.old["archive_time"]}
    archived = scene.given["is_archived"]
    return {"archive_time": (scene.given.get("archive_time") or scene.context.now) if archived else None}


def _blank(world: World, context: Context) -> Record:
    stage = first_stage(world, None)
    empty = dict.fromkeys((*_STATUS_KEYS, "person_id", "org_id", "probability", "expected_close_date", "archive_time"))
    return {
        **dict.fromkeys(DEAL.keys),
        **empty,
        "title": "",
        "creator_user_id": context.actor.user_id,
        "owner_id": context.actor.user_id,
        "value": 0,
        "currency": world.users[context.actor.user_id].currency,
        "status": "open",
        "stage_id": stage,
        "pipeline_id": (world.get("stage", stage) or {}).get("pipeline_id") if stage else None,
        "is_archived": False,
        "is_deleted": False,
        "label_ids": [],
        "visible_to": 3,
        "origin": "API" if context.actor.source == "api" else "ManuallyCreated",
        "first_won_time": None,
        "custom_fields": {},
    }


def _tell(world: World, deal: Record) -> Record:
    return {
        **{key: deal[key] for key in DEAL.keys if key not in ("is_deleted", *_LOCAL)},
        "first_won_time": deal["first_won_time"],
        "visible_to": str(deal["visible_to"]),
        "custom_fields": world.tell_custom("deal", deal["custom_fields"]),
    }


_LOCAL = ("local_won_date", "local_lost_date", "local_close_date")
DEAL = Entity(
    name="deal",
    keys=(
        "id",
        "title",
        "creator_user_id",
        "owner_id",
        "value",
        "person_id",
        "org_id",
        "stage_id",
        "pipeline_id",
        "currency",
        "archive_time",
        "add_time",
        "update_time",
        "stage_change_time",
        "status",
        "is_archived",
        "is_deleted",
        "probability",
        "lost_reason",
        "visible_to",
        "close_time",
        "won_time",
        "lost_time",
        *_LOCAL,
        "expected_close_date",
        "label_ids",
        "origin",
        "origin_id",
        "channel",
        "channel_id",
        "custom_fields",
    ),
    create=_SHAPE,
    update=_SHAPE,
    required=("title",),
    blank=_blank,
    settle=_settle,
    tell=_tell,
    silent_previous=("update_time",),
)
