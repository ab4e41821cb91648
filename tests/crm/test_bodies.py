"""Request bodies: complete, typed, and without what would destroy data."""

from __future__ import annotations

from connector.core.model import CrmId, Json, Record
from connector.core.schema import FieldType
from connector.crm.pipedrive.bodies import change, creation
from connector.crm.pipedrive.kinds import ACTIVITY, DEAL, KINDS, NOTE, ORGANIZATION, PERSON, Kind

H1, H2, H3, H4, H5 = (letter * 40 for letter in "abcde")
TYPES = {
    H1: FieldType.SET,
    H2: FieldType.MONEY,
    H3: FieldType.ENUM,
    H4: FieldType.TEXT,
    H5: FieldType.TIME,
}


def changed(kind: Kind, fields: dict[str, Json], seen: dict[str, Json] | None = None) -> dict[str, Json]:
    """Body of an update of a record with the fields `seen`."""
    return change(kind, fields, Record(kind.name, CrmId("7"), seen or {}), TYPES)


def test_custom_fields_go_into_their_own_object() -> None:
    """Keys that are no built-in ones are custom (a hash at top level is refused)."""
    assert creation(PERSON, {"name": "Ada", H4: "x"}, TYPES) == {"name": "Ada", "custom_fields": {H4: "x"}}


def test_a_create_leaves_out_what_is_null() -> None:
    """There is nothing to clear on a new record."""
    assert creation(PERSON, {"name": "Ada", "org_id": None, H4: None}, TYPES) == {"name": "Ada"}


def test_collections_are_cleared_as_each_demands() -> None:
    """Built-in lists by [], custom sets by null."""
    body = changed(PERSON, {"emails": None, "label_ids": None, "org_id": None, H1: [], H4: None})
    assert body == {"emails": [], "label_ids": [], "org_id": None, "custom_fields": {H1: None, H4: None}}


def test_ids_become_numbers_and_text_stays_text() -> None:
    """References and options may come as text; a text field that looks like a number does not change."""
    fields: dict[str, Json] = {"org_id": "12", "visible_to": "3", "label_ids": ["1", 2], H1: ["31"], H3: "32", H4: "33"}
    assert changed(PERSON, fields) == {
        "org_id": 12,
        "visible_to": 3,
        "label_ids": [1, 2],
        "custom_fields": {H1: [31], H3: 32, H4: "33"},
    }


def test_money_always_has_its_currency() -> None:
    """An amount alone takes the currency that the record has; an empty amount clears both."""
    seen: dict[str, Json] = {H2: {"value": 1, "currency": "USD"}}
    assert changed(DEAL, {H2: {"value": 5}}, seen)["custom_fields"] == {H2: {"value": 5, "currency": "USD"}}
    assert changed(DEAL, {H2: {"value": 5, "currency": "EUR"}}, seen)["custom_fields"] == {
        H2: {"value": 5, "currency": "EUR"}
    }
    assert changed(DEAL, {H2: {"value": None, "currency": "EUR"}}, seen)["custom_fields"] == {H2: None}
    assert changed(DEAL, {"value": 9}, {"currency": "USD"}) == {"value": 9, "currency": "USD"}
    assert changed(DEAL, {"value": None}, {"currency": "USD"}) == {"value": 0, "currency": "USD"}


def test_an_address_is_sent_as_given() -> None:
    """Parts of the address before do not belong to the new one: left out, they become null (§13.5)."""
    before: Json = {"value": "A 1", "country": "EE", "subpremise": "4", "formatted_address": "A 1, EE"}
    seen: dict[str, Json] = {"address": before}
    assert changed(ORGANIZATION, {"address": {"value": "A 2"}}, seen) == {"address": {"value": "A 2"}}
    assert changed(ORGANIZATION, {"address": {"value": "A 1", "country": "EE", "subpremise": None}}, seen) == {
        "address": {"value": "A 1", "country": "EE"}
    }
    assert changed(ORGANIZATION, {"address": before}, {}) == {
        "address": {"value": "A 1", "country": "EE", "subpremise": "4"}
    }
    assert changed(ORGANIZATION, {"address": "B 3"}, {}) == {"address": {"value": "B 3"}}
    assert changed(ORGANIZATION, {"address": None}, seen) == {"address": None}


def test_addresses_of_persons_take_the_documented_keys_only() -> None:
    """What the server added to an e-mail comes back as a refusal; without a label it gives one itself."""
    emails: Json = [
        {"value": "a@x.test", "primary": True, "label": None, "id": 5},
        {"value": "b@x.test", "primary": False, "label": "home"},
    ]
    assert changed(PERSON, {"emails": emails, "phones": []}) == {
        "emails": [
            {"value": "a@x.test", "primary": True},
            {"value": "b@x.test", "primary": False, "label": "home"},
        ],
        "phones": [],
    }


def test_name_parts_go_together() -> None:
    """Writing one part sends both and not the joined name, which the server would split again."""
    seen: dict[str, Json] = {"name": "Ada Byron", "first_name": "Ada", "last_name": "Byron"}
    assert changed(PERSON, {"last_name": "Lovelace"}, seen) == {"first_name": "Ada", "last_name": "Lovelace"}
    assert changed(PERSON, {"last_name": None}, seen) == {"first_name": "Ada", "last_name": ""}
    assert changed(PERSON, {"name": "X Y", "first_name": "X", "last_name": "Y"}, seen) == {
        "first_name": "X",
        "last_name": "Y",
    }
    assert changed(PERSON, {"name": "X Y"}, seen) == {"name": "X Y"}


def test_the_stage_decides_the_pipeline() -> None:
    """Only one of the two is sent."""
    assert changed(DEAL, {"pipeline_id": "2", "stage_id": "9"}) == {"stage_id": 9}
    assert changed(DEAL, {"pipeline_id": "2"}) == {"pipeline_id": 2}


def test_reopening_does_not_send_what_it_clears() -> None:
    """Null times and reasons of another status are the server's doing; of the right status they are ours."""
    lost: dict[str, Json] = {"status": "lost", "lost_reason": "price"}
    fields: dict[str, Json] = {"status": "open", "lost_reason": None, "lost_time": None}
    assert changed(DEAL, fields, lost) == {"status": "open"}
    assert changed(DEAL, {"lost_reason": None}, lost) == {"lost_reason": None}


def test_a_person_is_the_primary_participant() -> None:
    """The new person takes the place of the one before; other participants stay."""
    seen: dict[str, Json] = {
        "person_id": 1,
        "participants": [{"person_id": 1, "primary": True}, {"person_id": 2, "primary": False}],
    }
    first, second = {"person_id": 3, "primary": True}, {"person_id": 2, "primary": False}
    assert changed(ACTIVITY, {"person_id": "3"}, seen) == {"participants": [first, second]}
    assert changed(ACTIVITY, {"person_id": None}, seen) == {"participants": [second]}
    assert changed(ACTIVITY, {"person_id": 2}, seen) == {"participants": [{"person_id": 2, "primary": True}]}
    assert creation(ACTIVITY, {"subject": "Call", "person_id": "3"}, {}) == {"subject": "Call", "participants": [first]}


def test_a_custom_time_is_an_object() -> None:
    """Read as text, written as the object that the API takes."""
    assert changed(PERSON, {H5: "09:30:00"})["custom_fields"] == {H5: {"value": "09:30:00"}}


def test_notes_speak_the_old_dialect() -> None:
    """Flags are 0 and 1, times have a space, references are numbers."""
    fields: dict[str, Json] = {
        "content": "<p>2026-01-01T00:00:00Z</p>",
        "person_id": "7",
        "pinned_to_person_flag": True,
        "add_time": "2026-01-01T10:20:30Z",
    }
    assert creation(NOTE, fields, {}) == {
        "content": "<p>2026-01-01T00:00:00Z</p>",
        "person_id": 7,
        "pinned_to_person_flag": 1,
        "add_time": "2026-01-01 10:20:30",
    }


def test_prices_are_those_of_the_price_list() -> None:
    """REFERENCE §11.1."""
    prices = {
        name: (kind.single.tokens, kind.lists[0].tokens, kind.create.tokens, kind.update.tokens, kind.delete.tokens)
        for name, kind in KINDS.items()
    }
    assert prices == {
        **dict.fromkeys(("person", "organization", "deal", "activity"), (1, 10, 5, 5, 3)),
        "note": (2, 20, 10, 10, 6),
    }
