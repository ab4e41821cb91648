"""How a stored record is shown by v2: its keys in order, every custom field, and what the caller asked for on top."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from connector.sandbox.calls import Call, fields_of
from connector.sandbox.entity import Entity
from connector.sandbox.refusals import invalid
from connector.sandbox.table import Row
from connector.sandbox.wire import Json, Record, dumps
from connector.sandbox.world import World

MAX_CUSTOM = 15
Count: TypeAlias = Callable[[World, Record], Json]


def _linked(entity: str, key: str, **wanted: Json) -> Count:
    def count(world: World, record: Record) -> Json:
        return sum(
            each[key] == record["id"] and all(each[name] == value for name, value in wanted.items())
            for each in world.tables[entity].live()
        )

    return count


def _bcc(world: World, record: Record) -> Json:
    return f"{world.domain}+{record['id']}@pipedrivemail.test"


def _zero(_world: World, _record: Record) -> Json:
    return 0


def _null(_world: World, _record: Record) -> Json:
    return None


def _common(key: str) -> dict[str, Count]:
    return {
        "activities_count": _linked("activity", key),
        "done_activities_count": _linked("activity", key, done=True),
        "undone_activities_count": _linked("activity", key, done=False),
        "notes_count": _linked("note", key),
        "files_count": _zero,
        "followers_count": _zero,
        "email_messages_count": _zero,
        "next_activity_id": _null,
        "last_activity_id": _null,
        "last_incoming_mail_time": _null,
        "last_outgoing_mail_time": _null,
        "smart_bcc_email": _bcc,
    }


def _deals(key: str) -> dict[str, Count]:
    states = {f"{state}_deals_count": _linked("deal", key, status=state) for state in ("open", "won", "lost")}
    related = {f"related_{state}_deals_count": _zero for state in ("open", "won", "lost", "closed")}
    return {**states, **related, "closed_deals_count": _zero}


EXTRAS: Mapping[str, Mapping[str, Count]] = {
    "person": {
        **_common("person_id"),
        **_deals("person_id"),
        "participant_open_deals_count": _zero,
        "participant_closed_deals_count": _zero,
    },
    "organization": {**_common("org_id"), **_deals("org_id"), "people_count": _linked("person", "org_id")},
    "deal": {
        **_common("deal_id"),
        "first_won_time": lambda _world, record: record["first_won_time"],
        "products_count": _zero,
        "participants_count": lambda _world, record: int(record["person_id"] is not None),
        "source_lead_id": _null,
    },
    "activity": {"attendees": lambda _world, record: record["attendees"]},
}


@dataclass(frozen=True, slots=True)
class View:
    """What a caller asked for: extra keys, only some custom fields, option and label texts."""

    extras: tuple[str, ...] = ()
    custom: tuple[str, ...] | None = None
    option_labels: bool = False
    labels: bool = False

    @classmethod
    def of(cls, call: Call, entity: Entity) -> "View":
        """Read the view of a list or single request; 400 for keys that the entity does not have."""
        extras = _words(call, "include_fields")
        unknown = set(extras) - EXTRAS.get(entity.name, {}).keys()
        if unknown:
            raise invalid({"include_fields": f"{min(unknown)} is not supported"})
        custom = _words(call, "custom_fields") if "custom_fields" in call.query else None
        if custom is not None and len(custom) > MAX_CUSTOM:
            raise invalid({"custom_fields": f"must be at most {MAX_CUSTOM} keys"})
        return cls(extras, custom, _flag(call, "include_option_labels"), _flag(call, "include_labels"))


PLAIN = View()


def _words(call: Call, key: str) -> tuple[str, ...]:
    return tuple(each for each in call.query.get(key, "").split(",") if each)


def _flag(call: Call, key: str) -> bool:
    value = call.query.get(key, "false")
    if value not in ("true", "false"):
        raise invalid({key: "must be a boolean"})
    return value == "true"


def render(world: World, entity: Entity, row: Row, view: View = PLAIN) -> bytes:
    """Give a record's JSON; the plain view is kept with the row until the record or the definitions change."""
    if view != PLAIN:
        return dumps(show(world, entity, row.record, view))
    if row.page is None or row.version != world.fields.version:
        row.page, row.version = dumps(show(world, entity, row.record, view)), world.fields.version
    return row.page


def show(world: World, entity: Entity, record: Record, view: View = PLAIN) -> Record:
    """Give a record as v2 does."""
    shown = fields_of(record, entity.keys)
    if "custom_fields" in shown:
        shown["custom_fields"] = _custom(world, entity.name, record["custom_fields"], view)
    shown.update({key: EXTRAS[entity.name][key](world, record) for key in view.extras})
    if view.labels and "label_ids" in shown:
        options = {option.id: option.label for option in _options(world, entity.name, "label")}
        shown["labels"] = [{"id": each, "label": options.get(each)} for each in record["label_ids"]]
    return shown


def _custom(world: World, entity: str, sparse: Record, view: View) -> Json:
    whole = world.fields.whole(entity, sparse)
    if whole and view.custom is not None:
        whole = {code: value for code, value in whole.items() if code in view.custom}
    if whole and view.option_labels:
        whole = {code: _labelled(world, entity, code, value) for code, value in whole.items()}
    return whole


def _labelled(world: World, entity: str, code: str, value: Json) -> Json:
    options = {option.id: option.label for option in _options(world, entity, code)}
    if isinstance(value, list) and options:
        return [{"id": each, "label": options.get(each)} for each in value]
    return {"id": value, "label": options[value]} if isinstance(value, int) and value in options else value


def _options(world: World, entity: str, code: str) -> Json:
    field = world.fields.get(entity, code)
    return (field and field.options) or ()
