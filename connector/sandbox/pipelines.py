"""Pipelines and stages (OpenAPI v2; REFERENCE of the API §6.5); webhooks spell them with v1 flags."""

from connector.sandbox import bodies
from connector.sandbox.entity import Entity, Scene
from connector.sandbox.model import Context
from connector.sandbox.records import overlay
from connector.sandbox.wire import Record
from connector.sandbox.world import World

_PIPELINE = {"name": bodies.text(255), "is_deal_probability_enabled": bodies.boolean}
_STAGE = {
    "name": bodies.text(255),
    "pipeline_id": bodies.reference("pipeline"),
    "deal_probability": bodies.integer,
    "is_deal_rot_enabled": bodies.boolean,
    "days_to_rotten": bodies.maybe(bodies.integer),
}


def _blank_pipeline(world: World, _context: Context) -> Record:
    order = max((each["order_nr"] for each in world.tables["pipeline"].live()), default=0) + 1
    return {"name": "", "order_nr": order, "is_deleted": False, "is_deal_probability_enabled": False}


def _blank_stage(_world: World, _context: Context) -> Record:
    return {
        "order_nr": 1,
        "name": "",
        "is_deleted": False,
        "deal_probability": 100,
        "pipeline_id": None,
        "is_deal_rot_enabled": False,
        "days_to_rotten": None,
    }


def _settle_stage(scene: Scene) -> Record:
    """A new stage goes last in its pipeline."""
    stage = overlay(scene)
    if scene.fresh:
        others = scene.world.tables["stage"].live()
        orders = [each["order_nr"] for each in others if each["pipeline_id"] == stage["pipeline_id"]]
        stage["order_nr"] = max(orders, default=0) + 1
    return stage


def _tell_pipeline(_world: World, pipeline: Record) -> Record:
    return {
        "id": pipeline["id"],
        "name": pipeline["name"],
        "order_nr": pipeline["order_nr"],
        "url_title": "default",
        "active_flag": not pipeline["is_deleted"],
        "deal_probability": pipeline["is_deal_probability_enabled"],
        "add_time": pipeline["add_time"],
        "update_time": pipeline["update_time"],
    }


def _tell_stage(_world: World, stage: Record) -> Record:
    return {
        "id": stage["id"],
        "name": stage["name"],
        "pipeline_id": stage["pipeline_id"],
        "order_nr": stage["order_nr"],
        "active_flag": not stage["is_deleted"],
        "deal_probability": stage["deal_probability"],
        "rotten_flag": stage["is_deal_rot_enabled"],
        "rotten_days": stage["days_to_rotten"],
        "add_time": stage["add_time"],
        "update_time": stage["update_time"],
    }


PIPELINE = Entity(
    name="pipeline",
    keys=("id", "name", "order_nr", "is_deleted", "is_deal_probability_enabled", "add_time", "update_time"),
    create=_PIPELINE,
    update=_PIPELINE,
    required=("name",),
    blank=_blank_pipeline,
    settle=overlay,
    tell=_tell_pipeline,
)
STAGE = Entity(
    name="stage",
    keys=(
        "id",
        "order_nr",
        "name",
        "is_deleted",
        "deal_probability",
        "pipeline_id",
        "is_deal_rot_enabled",
        "days_to_rotten",
        "add_time",
        "update_time",
    ),
    create=_STAGE,
    update=_STAGE,
    required=("name", "pipeline_id"),
    blank=_blank_stage,
    settle=_settle_stage,
    tell=_tell_stage,
)
