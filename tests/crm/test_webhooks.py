"""Deliveries as Pipedrive documents them (REFERENCE §12.3, §12.4), with the contradictions of its documentation."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.crm.pipedrive.webhooks import hint
from connector.ports import Hint, HintKind, NotUnderstoodError

H1, H2, H3 = (letter * 40 for letter in "abc")
AT = datetime(2026, 11, 2, 8, 15, 30, 123000, tzinfo=UTC)
META = {
    "action": "change",
    "entity": "person",
    "entity_id": "91",
    "id": "0b6e-uuid",
    "correlation_id": "9c1d-uuid",
    "company_id": "1200001",
    "user_id": "8800001",
    "webhook_id": "555",
    "timestamp": "2026-11-02T08:15:30.123Z",
    "change_source": "app",
    "attempt": 1,
    "type": "general",
    "version": "2.0",
    "host": "acme.pipedrive.com",
    "permitted_user_ids": ["8800001"],
}
PERSON = {
    "id": 91,
    "name": "Ada Example",
    "first_name": "Ada",
    "last_name": "Example",
    "owner_id": 8800001,
    "org_id": 12,
    "emails": [{"label": "work", "value": "ada@example.test", "primary": True}],
    "phones": [],
    "label": None,
    "label_ids": [],
    "picture_id": None,
    "visible_to": "3",
    "add_time": "2026-11-02T08:15:30Z",
    "update_time": "2026-11-02T08:15:30Z",
    "custom_fields": {H1: {"type": "enum", "id": 31}, H2: None},
}


def told(
    data: dict[str, Any] | None, previous: dict[str, Any] | None = None, *, identity: str = H3, **meta: Any
) -> Hint:
    """The hint of a delivery."""
    body = {"meta": {**META, **meta}, "data": data, "previous": previous}
    return hint(json.dumps(body).encode(), {"person": identity})


def test_a_creation() -> None:
    """The new state in the spelling of a read: visible_to a number, custom fields flat, `label` left out."""
    made = told(PERSON, action="create", change_source="api")
    assert (made.id, made.object, made.crm_id, made.kind) == ("0b6e-uuid", "person", "91", HintKind.CHANGED)
    assert (made.created, made.version, made.at) == (True, "2026-11-02T08:15:30Z", AT)
    assert (made.actor, made.source, made.identity) == ("8800001", "api", None)
    unsaid = ("label", "picture_id", "custom_fields")
    plain = {key: value for key, value in PERSON.items() if key not in unsaid}
    assert made.values == {**plain, "visible_to": 3, H1: 31, H2: None}
    assert made.previous == {}


def test_a_change_carries_old_values() -> None:
    """Only the changed keys, custom ones beside built-in ones; null where it was empty."""
    previous = {"stage_id": 1, "custom_fields": {H1: None, H2: {"type": "double", "value": 2.5}}}
    edited = told({"id": 7, "stage_id": 2, "is_archived": False}, previous, entity="deal", entity_id="7")
    assert (edited.kind, edited.created, edited.values["stage_id"]) == (HintKind.CHANGED, False, 2)
    assert edited.previous == {"stage_id": 1, H1: None, H2: 2.5}


def test_both_halves_of_a_merge() -> None:
    """The loser's delete names the survivor, the survivor's change names the loser."""
    loser = told(None, PERSON, action="delete", merged_to_id="92")
    survivor = told({**PERSON, "id": 92}, {"org_id": None}, entity_id="92", merged_from_id=91)
    assert (loser.kind, loser.crm_id, loser.merged_to, loser.values, loser.previous) == (
        HintKind.MERGED,
        "91",
        "92",
        {},
        {},
    )
    assert (survivor.kind, survivor.crm_id, survivor.merged_from) == (HintKind.CHANGED, "92", "91")


def test_a_deletion() -> None:
    """Without merge it is a plain deletion, with no statement about values."""
    gone = told(None, PERSON, action="delete")
    assert (gone.kind, gone.values, gone.version) == (HintKind.DELETED, {}, None)


def test_deleted_and_restored_by_a_flag() -> None:
    """v1-style objects are deleted and restored by a change of `active_flag`."""
    gone = told({"id": 5, "active_flag": False}, {"active_flag": True}, entity="note", entity_id=5)
    back = told({"id": 5, "active_flag": True}, {"active_flag": False}, entity="note", entity_id=5)
    assert (gone.kind, back.kind) == (HintKind.DELETED, HintKind.RESTORED)


@pytest.mark.parametrize(
    "stamp", [1793607330, "1793607330", 1793607330123, "2026-11-02T08:15:30Z", "2026-11-02 08:15:30"]
)
def test_every_form_of_timestamp(stamp: object) -> None:
    """Unix seconds or milliseconds, number or text, ISO with and without zone."""
    at = told(PERSON, timestamp=stamp).at
    assert at is not None
    assert at.replace(microsecond=0) == AT.replace(microsecond=0)


@pytest.mark.parametrize("stamp", [10**30, -(10**30), "9" * 5000, True, [], "yesterday"])
def test_no_form_of_timestamp(stamp: object) -> None:
    """What is no time is none."""
    assert told(PERSON, timestamp=stamp).at is None


def test_ids_as_numbers() -> None:
    """Ids are text in hints whatever they came as."""
    made = told(PERSON, entity_id=91, user_id=8800001, id=17)
    assert (made.crm_id, made.actor, made.id) == ("91", "8800001", "17")


def test_a_version_may_be_absent() -> None:
    """A null update_time of a creation is no statement (§12.3)."""
    made = told({**PERSON, "update_time": None}, action="create")
    assert made.version is None
    assert "update_time" not in made.values


def test_an_id_is_found_where_meta_lacks_it() -> None:
    """The record's own id serves; an event without id gets a stable one."""
    made = told(PERSON, entity_id=None, id=None)
    assert made.crm_id == "91"
    assert made.id == told(PERSON, entity_id=None, id=None).id != ""


def test_the_identity_is_read() -> None:
    """The text of the identity field, typed as every custom field."""
    data = {**PERSON, "custom_fields": {H3: {"type": "varchar", "value": "contact:17:4"}}}
    assert told(data).identity == "contact:17:4"


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ({"type": "varchar", "value": "abc"}, "abc"),
        ({"type": "text", "value": "abc"}, "abc"),
        ({"type": "double", "value": 12.5}, 12.5),
        ({"type": "phone", "value": "+372"}, "+372"),
        ({"type": "date", "value": "2026-01-31"}, "2026-01-31"),
        ({"type": "monetary", "value": 250, "currency": "EUR"}, {"value": 250, "currency": "EUR"}),
        ({"type": "enum", "id": 31}, 31),
        ({"type": "enum", "id": "31"}, 31),
        ({"type": "set", "values": [{"id": 31}, {"id": 32}]}, [31, 32]),
        ({"type": "set", "values": []}, None),
        ({"type": "user", "id": 42}, 42),
        ({"type": "org", "id": 42}, 42),
        ({"type": "people", "id": 42}, 42),
        ({"type": "daterange", "from": "2026-01-01", "until": None}, {"value": "2026-01-01", "until": None}),
        ({"type": "time", "value": "09:00", "timezone_id": 3}, "09:00:00"),
        ({"type": "address", "value": "A 1", "subfields": {"country": "EE"}}, {"value": "A 1", "country": "EE"}),
        (None, None),
    ],
)
def test_custom_fields_as_read(typed: object, value: object) -> None:
    """Every type of column 4 of §8 becomes column 3."""
    assert told({"id": 91, "custom_fields": {H1: typed}}).values == {"id": 91, H1: value}


@pytest.mark.parametrize(
    "typed",
    [
        {"type": "timerange", "from": "09:00", "until": "10:00"},
        {"type": "new"},
        {"type": "set"},
        {"id": 31, "label": "Gold"},
        [{"id": 31, "label": "Gold"}],
    ],
)
def test_what_cannot_be_spelled_is_left_out(typed: object) -> None:
    """No statement is better than a wrong one."""
    assert H1 not in told({"id": 91, "custom_fields": {H1: typed}}).values


@pytest.mark.parametrize(
    ("plain", "value"),
    [
        ("abc", "abc"),
        (12.5, 12.5),
        (31, 31),
        ([31, 32], [31, 32]),
        ({"value": 250, "currency": "EUR"}, {"value": 250, "currency": "EUR"}),
        ({"value": "09:00", "timezone_id": 3, "timezone_name": "Europe/Tallinn"}, "09:00:00"),
        ({"value": "A 1", "country": "EE"}, {"value": "A 1", "country": "EE"}),
    ],
)
def test_custom_fields_spelled_as_the_api_does(plain: object, value: object) -> None:
    """Column 3 of §8 instead of column 4: an emulator that sends its records as they are is understood."""
    assert told({"id": 91, "custom_fields": {H1: plain}}).values == {"id": 91, H1: value}
    assert told({"id": 91, "custom_fields": {H3: "contact:17:4"}}).identity == "contact:17:4"


def test_an_activity_s_times_and_flags() -> None:
    """Times come as objects, text or empty; flags have their old names; participants either name of the flag."""
    data = {
        "id": 3,
        "due_time": {"timezone_id": None, "value": ""},
        "duration": {"timezone_id": 1, "value": "01:30"},
        "busy_flag": True,
        "active_flag": True,
        "participants": [{"person_id": "91", "primary_flag": True}],
    }
    made = told(data, entity="activity", entity_id="3")
    assert made.values == {
        "id": 3,
        "due_time": None,
        "duration": "01:30:00",
        "busy": True,
        "participants": [{"person_id": 91, "primary": True}],
    }


def test_an_address_as_text_is_no_address() -> None:
    """Text alone does not tell what a read would give; an object does, null does."""
    for address, values in (("Main 1", {}), (None, {"address": None}), ({"value": "M"}, {"address": {"value": "M"}})):
        made = told({"address": address}, entity="organization", entity_id="12")
        assert made.values == values


@pytest.mark.parametrize("entity", ["user", "pipeline", "stage", "personField", "deal_field"])
def test_definitions_are_schema(entity: str) -> None:
    """Users, pipelines, stages and field definitions only say that the metadata is stale."""
    made = told({"id": "5", "active_flag": False}, entity=entity, entity_id="5", action="change", timestamp=1793607330)
    assert (made.kind, made.values) == (HintKind.SCHEMA, {})


def test_other_objects_are_named_without_values() -> None:
    """A lead or product is somebody else's matter, but understood."""
    made = told({"id": "uuid", "title": "x"}, entity="lead", entity_id="uuid")
    assert (made.object, made.crm_id, made.values) == ("lead", "uuid", {})


@pytest.mark.parametrize(
    "body",
    [
        {"v": 1, "meta": {"action": "updated", "object": "person", "id": 1}, "current": {}, "previous": {}},
        {"meta": {**META, "action": "merged"}, "data": None},
        {"meta": {**META, "entity": None}, "data": PERSON},
        {"meta": {**META, "entity_id": None}, "data": None},
        {"meta": META, "data": "text"},
    ],
)
def test_other_shapes_are_not_understood(body: dict[str, Any]) -> None:
    """Version 1.0 and broken payloads are named so, without quoting them."""
    with pytest.raises(NotUnderstoodError) as caught:
        hint(json.dumps(body).encode(), {})
    assert "Ada" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
known_keys = st.sampled_from(
    [*PERSON, "due_time", "participants", "location", "type", "value", "values", "id", "subfields"]
)


@given(
    st.dictionaries(st.sampled_from([*META, "merged_to_id"]), json_values),
    st.dictionaries(known_keys, json_values) | json_values,
    st.sampled_from(["person", "deal", "activity", "note", "organization"]),
)
def test_nothing_but_a_hint_or_not_understood(meta: dict[str, Any], data: Any, entity: str) -> None:
    """Whatever JSON comes, it is a hint or NotUnderstoodError, never another failure."""
    body = {"meta": {**META, "entity": entity, **meta}, "data": data, "previous": {"custom_fields": data}}
    with contextlib.suppress(NotUnderstoodError):
        assert isinstance(hint(json.dumps(body).encode(), {"person": H1}), Hint)
