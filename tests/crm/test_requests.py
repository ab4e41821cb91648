"""Requests off the beaten track: the sandbox takes them, and the published descriptions know them (fixture `crm`)."""

from __future__ import annotations

import pytest

from connector.core.model import CrmId, Json, Lane, Record
from connector.ports import Create, Delete, Done, Update
from tests.crm.conformance import LANE, created, stored, write
from tests.crm.sandboxed import PipedriveSubject

TYPES = [
    "varchar",
    "varchar_auto",
    "text",
    "phone",
    "double",
    "monetary",
    "date",
    "time",
    "address",
    "enum",
    "set",
    "user",
    "org",
    "people",
]
ADDRESS: Json = {"value": "Main 1, Tallinn", "country": "Estonia", "locality": "Tallinn", "subpremise": "4"}


async def change(crm: PipedriveSubject, record: Record, **fields: Json) -> Record:
    """The record after an update by us."""
    (outcome,) = await write(crm, Update(record.object, record.id, fields, record))
    return stored(outcome)


async def make_field(crm: PipedriveSubject, name: str, vendor_type: str) -> str:
    """The key of a new custom field of an object."""
    options = {"options": [{"label": "Gold"}, {"label": "Silver"}]} if vendor_type in ("enum", "set") else {}
    body = {"field_name": f"My {vendor_type}", "field_type": vendor_type, **options}
    made = await crm.do(f"{name}Field.create", body)
    return str(made["field_code"])


async def sample(crm: PipedriveSubject, vendor_type: str, key: str) -> Json:
    """A value that a field of this type takes, ids as text as the engine gives them."""
    metadata = await crm.crm.metadata(lane=LANE)
    (field,) = (each for each in metadata.fields[crm.object] if each.key == key)
    first = {name: str(next(iter(crm.sandbox.world.tables[name].live()))["id"]) for name in ("person", "organization")}
    samples: dict[str, Json] = {
        **dict.fromkeys(("varchar", "varchar_auto", "text", "phone"), "abc"),
        "double": 12.5,
        "monetary": {"value": 250, "currency": "USD"},
        "date": "2026-01-31",
        "time": "09:30:00",
        "address": ADDRESS,
        "enum": field.options[0].id if field.options else None,
        "set": [each.id for each in field.options],
        "user": str(metadata.users[0].id),
        "org": first["organization"],
        "people": first["person"],
    }
    return samples[vendor_type]


@pytest.mark.parametrize("name", ["person", "organization", "deal"])
@pytest.mark.parametrize("vendor_type", TYPES)
async def test_every_custom_field_is_set_and_cleared(crm: PipedriveSubject, name: str, vendor_type: str) -> None:
    """Set by an update, cleared by null, set by a create."""
    crm.object = name
    key = await make_field(crm, name, vendor_type)
    value = await sample(crm, vendor_type, key)
    record = await change(crm, await created(crm, "Bare"), **{key: value})
    assert record.fields[key] is not None
    assert (await change(crm, record, **{key: None})).fields[key] is None
    (outcome,) = await write(crm, Create(name, {**crm.sample("Whole"), key: value}))
    assert stored(outcome).fields[key] == record.fields[key]


async def test_the_life_of_a_deal(crm: PipedriveSubject) -> None:
    """Won at a time, reopened, lost for a reason, reopened, archived, back; amount, probability and date cleared."""
    crm.object = "deal"
    at = "2026-11-01T10:00:00Z"
    deal = await created(crm, "Roof")
    deal = await change(crm, deal, value=12.5, currency="USD", probability=40, expected_close_date="2026-12-31")
    deal = await change(crm, deal, value=None, probability=None, expected_close_date=None)
    assert (deal.fields["value"], deal.fields["currency"], deal.fields["probability"]) == (0, "USD", None)
    deal = await change(crm, deal, status="won", won_time=at)
    assert deal.fields["won_time"] == at
    deal = await change(crm, deal, status="open", won_time=None)
    deal = await change(crm, deal, status="lost", lost_reason="price")
    deal = await change(crm, deal, lost_reason=None)
    assert (deal.fields["status"], deal.fields["lost_reason"]) == ("lost", None)
    deal = await change(crm, deal, status="open", lost_reason=None, lost_time=None)
    deal = await change(crm, deal, is_archived=True)
    assert deal.archived
    assert not (await change(crm, deal, is_archived=False)).archived


async def test_a_deal_moves_by_its_pipeline_alone(crm: PipedriveSubject) -> None:
    """The CRM chooses the first stage there."""
    crm.object = "deal"
    stage = next(each for each in (await crm.crm.metadata(lane=LANE)).stages if each.pipeline_id == "2")
    deal = await change(crm, await created(crm, "Moving"), pipeline_id="2")
    assert (deal.fields["pipeline_id"], deal.fields["stage_id"]) == (2, int(stage.id))


async def test_references_are_set_and_cleared(crm: PipedriveSubject) -> None:
    """Person and organization of a deal, organization of a person."""
    person = await created(crm, "Ada")
    crm.object = "organization"
    firm = await created(crm, "Acme")
    crm.object = "deal"
    deal = await change(crm, await created(crm, "Roof"), person_id=person.id, org_id=firm.id)
    assert (deal.fields["person_id"], deal.fields["org_id"]) == (int(person.id), int(firm.id))
    deal = await change(crm, deal, person_id=None, org_id=None)
    assert (deal.fields["person_id"], deal.fields["org_id"]) == (None, None)
    person = await change(crm, person, org_id=firm.id)
    assert (await change(crm, person, org_id=None)).fields["org_id"] is None


async def test_all_of_an_activity(crm: PipedriveSubject) -> None:
    """Times, place, note, links and participants, set and cleared."""
    person = await created(crm, "Ada")
    crm.object = "deal"
    deal = await created(crm, "Roof")
    fields: dict[str, Json] = {
        "subject": "Call",
        "type": "call",
        "due_date": "2026-11-02",
        "due_time": "09:15",
        "duration": "00:12",
        "busy": True,
        "done": True,
        "location": ADDRESS,
        "note": "<p>asked</p>",
        "public_description": "asked",
        "person_id": person.id,
        "deal_id": deal.id,
    }
    (outcome,) = await write(crm, Create("activity", fields))
    activity = stored(outcome)
    assert (activity.fields["due_time"], activity.fields["duration"]) == ("09:15:00", "00:12:00")
    gone: dict[str, Json] = dict.fromkeys(("due_time", "duration", "location", "note", "public_description"))
    activity = await change(crm, activity, **gone, person_id=None, deal_id=None, done=False)
    kept = {key: activity.fields[key] for key in (*gone, "person_id", "deal_id")}
    assert not any(kept.values()), kept
    assert activity.fields["participants"] == []


async def test_all_of_a_note(crm: PipedriveSubject) -> None:
    """Content, target, pin and its removal, deletion."""
    person = await created(crm, "Ada")
    crm.object = "note"
    fields: dict[str, Json] = {"content": "<b>x</b>", "person_id": person.id, "pinned_to_person_flag": True}
    (outcome,) = await write(crm, Create("note", fields))
    note = stored(outcome)
    assert note.fields["pinned_to_person_flag"] is True
    note = await change(crm, note, content="y", pinned_to_person_flag=False)
    assert (note.fields["content"], note.fields["pinned_to_person_flag"]) == ("y", False)
    assert await write(crm, Delete("note", note.id)) == [Done(None)]


async def test_labels_addresses_and_visibility(crm: PipedriveSubject) -> None:
    """Of persons and organizations, set and cleared."""
    metadata = await crm.crm.metadata(lane=LANE)
    labels = next(each for each in metadata.fields["person"] if each.key == "label_ids").options
    person = await change(crm, await created(crm, "Ada"), label_ids=[labels[0].id], visible_to="3")
    assert person.fields["label_ids"] == [int(labels[0].id)]
    assert (await change(crm, person, label_ids=None, emails=None, phones=None)).fields["label_ids"] == []
    crm.object = "organization"
    firm = await change(crm, await created(crm, "Acme"), address=ADDRESS)
    firm = await change(crm, firm, address={"value": "Elsewhere 2"})
    address = firm.fields["address"]
    assert isinstance(address, dict)
    assert {key: value for key, value in address.items() if value is not None} == {"value": "Elsewhere 2"}
    assert (await change(crm, firm, address=None)).fields["address"] is None


async def test_subscriptions_come_and_go(crm: PipedriveSubject) -> None:
    """Made, listed, ended twice."""
    made = await crm.crm.subscribe(crm.inbox_url, "hook", "secret", lane=Lane.MANUAL)
    assert [each.id for each in await crm.crm.subscriptions(lane=LANE)] == [made.id]
    await crm.crm.unsubscribe(made.id, lane=LANE)
    await crm.crm.unsubscribe(made.id, lane=LANE)
    assert await crm.crm.subscriptions(lane=LANE) == []


async def test_the_loser_of_a_merge(crm: PipedriveSubject) -> None:
    """It reads as deleted; its event names the survivor."""
    await crm.deliveries()
    loser, survivor = await crm.make("Ada", "Ada L.")
    await crm.deliveries()
    await crm.do("person.merge", int(loser), {"merge_with_id": int(survivor)})
    hints = [each for headers, body in await crm.deliveries() for each in crm.crm.received(headers, body)]
    assert {(each.crm_id, each.merged_to) for each in hints if each.merged_to} == {(loser, survivor)}
    found = await crm.crm.read("person", [loser, CrmId(survivor)], lane=LANE)
    assert [type(each).__name__ for each in found.values()] == ["Gone", "Record"]
