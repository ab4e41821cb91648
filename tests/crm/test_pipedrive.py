"""What is Pipedrive's own: archived and deleted deals, notes of API v1, prices, definitions, doubt after a time-out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from connector.core.errors import RateLimitedError
from connector.core.mapping import Access, BudgetSpec
from connector.core.model import CrmId, Gone, Json, Lane, Record
from connector.core.schema import CrmField, FieldType, Option
from connector.crm.http import Timeouts
from connector.ports import CRM, Create, Page, Unknown, Update
from connector.sandbox.faults import Kind, Rule
from tests.crm.conformance import LANE, all_of, created, seen, stored, write
from tests.crm.sandboxed import PipedriveSubject, account


def spent(subject: PipedriveSubject) -> int:
    """Tokens charged by the sandbox so far."""
    return subject.sandbox.api.limits.spent


async def pages(subject: PipedriveSubject, since: Any) -> Sequence[Page]:
    """All pages of a changed listing."""
    found = [await subject.crm.changed(subject.object, since, None, lane=LANE)]
    while found[-1].cursor is not None:
        found.append(await subject.crm.changed(subject.object, since, found[-1].cursor, lane=LANE))
    return found


async def field(subject: PipedriveSubject, name: str) -> CrmField:
    """A field of the object by name."""
    metadata = await subject.crm.metadata(lane=LANE)
    return next(each for each in metadata.fields[subject.object] if each.name == name)


def test_it_is_a_crm(crm: PipedriveSubject) -> None:
    """The type checker agrees that the adapter has the whole port."""
    port: CRM = crm.crm
    assert not port.capabilities("lead").read


@pytest.mark.parametrize(("count", "tokens"), [(1, 1), (9, 9), (10, 10), (100, 10), (150, 20)])
async def test_the_price_of_reads(crm: PipedriveSubject, count: int, tokens: int) -> None:
    """One token each, or ten per hundred, whichever is less."""
    keys = await crm.make(*(f"Priced {n}" for n in range(count)))
    before = spent(crm)
    await crm.crm.read("person", keys, lane=LANE)
    assert spent(crm) - before == tokens


@pytest.mark.parametrize("count", [3, 30])
async def test_archived_deals_are_records(crm: PipedriveSubject, count: int) -> None:
    """They are listed and read although `/deals` leaves them out; many are asked for at once."""
    crm.object = "deal"
    keys = await crm.make(*(f"Deal {n}" for n in range(40)))
    for key in keys[:count]:
        await crm.do("deal.update", int(key), {"is_archived": True})
    before = spent(crm)
    answers = await crm.crm.read("deal", keys, lane=LANE)
    assert spent(crm) - before == 10 + min(count, 20)
    assert {key for key, each in answers.items() if isinstance(each, Record) and each.archived} == set(keys[:count])
    assert set(keys) <= (await all_of(crm)).keys()


async def test_changed_deals_include_archived_and_deleted(crm: PipedriveSubject) -> None:
    """Three lists one after the other, all priced before."""
    crm.object = "deal"
    changed, archived, deleted, untouched = await crm.make("Changed", "Archived", "Deleted", "Untouched")
    since = crm.tick()
    await crm.edit(changed, "Changed indeed")
    await crm.do("deal.update", int(archived), {"is_archived": True})
    await crm.remove(deleted)
    before = spent(crm)
    found = await pages(crm, since)
    assert spent(crm) - before == 10 + 20 + 10
    records = {record.id for page in found for record in page.records}
    assert {changed, archived} <= records
    assert not {deleted, untouched} & records
    assert [key for page in found for key in page.deleted] == [deleted]


async def test_deletion_proofs(crm: PipedriveSubject) -> None:
    """Flags of the body prove deletion; a purged record proves nothing."""
    for name, proof in (("person", "is_deleted"), ("deal", "is_deleted"), ("note", "active_flag")):
        crm.object = name
        (key,) = await crm.make("Gone")
        await crm.remove(key)
        assert (await crm.crm.read(name, [key], lane=LANE))[key] == Gone(proof)


async def test_changed_notes_do_not_slip_through(crm: PipedriveSubject) -> None:
    """Over pages, within one crowded second, while notes are edited between pages."""
    crm.object = "note"
    since = crm.tick()
    keys = list(await crm.make(*(f"Note {n}" for n in range(1200))))
    crm.tick()
    keys += await crm.make(*(f"Later {n}" for n in range(20)))
    page = await crm.crm.changed("note", since, None, lane=LANE)
    found = {record.id for record in page.records}
    while page.cursor is not None:
        crm.tick()
        await crm.edit(keys[0], f"Edited at {crm.clock.at}")
        page = await crm.crm.changed("note", since, page.cursor, lane=LANE)
        found |= {record.id for record in page.records}
    assert set(keys) <= found


async def test_notes_have_times_like_everyone(crm: PipedriveSubject) -> None:
    """API v1's spelling becomes RFC 3339; the neighbours that v1 expands are left out."""
    crm.object = "note"
    record = await created(crm, "<p>Hello</p>")
    assert record.version == "2026-11-02T08:00:00Z"
    assert record.modified_at == crm.clock.at
    assert record.fields.keys().isdisjoint({"user", "person", "deal", "organization", "active_flag"})


async def test_definitions_are_translated(crm: PipedriveSubject) -> None:
    """Record keys instead of codes, options, groups, limits; times and ids are not writable."""
    metadata = await crm.crm.metadata(lane=LANE)
    person = {each.key: each for each in metadata.fields["person"]}
    deal = {each.key: each for each in metadata.fields["deal"]}
    activity = {each.key: each for each in metadata.fields["activity"]}
    assert person.keys() >= {"emails", "phones", "label_ids"}
    assert person.keys().isdisjoint({"email", "phone", "label", "birthday", "job_title"})
    assert (person["emails"].type, person["phones"].type) == (FieldType.EMAILS, FieldType.PHONES)
    assert "Customer" in {option.label for option in person["label_ids"].options}
    assert {key for key, each in person.items() if each.group == "name"} == {"name", "first_name", "last_name"}
    assert [option.id for option in deal["status"].options] == ["open", "won", "lost"]
    assert {deal[key].group for key in ("status", "lost_reason", "won_time", "lost_time", "close_time")} == {"status"}
    assert {deal[key].group for key in ("stage_id", "pipeline_id")} == {"stage"}
    assert Option("call", "Call") in activity["type"].options
    for known in metadata.fields.values():
        by_key = {each.key: each for each in known}
        assert not any(by_key[key].writable for key in ("id", "add_time", "update_time"))
    stage = metadata.stages[0]
    assert (stage.name, metadata.pipelines[stage.pipeline_id]) == ("Lead in", "Sales")


@pytest.mark.parametrize(
    ("vendor_type", "value"),
    [
        ("varchar", "abc"),
        ("varchar_auto", "abc"),
        ("text", "abc\ndef"),
        ("phone", "+372 555"),
        ("double", 12.5),
        ("monetary", {"value": 250, "currency": "USD"}),
        ("date", "2026-01-31"),
        ("time", "09:30:00"),
        ("address", {"value": "Main 1, Tallinn", "country": "Estonia", "locality": "Tallinn"}),
    ],
)
async def test_custom_values_go_there_and_back(crm: PipedriveSubject, vendor_type: str, value: Json) -> None:
    """Written, stored, read, told by webhook: one spelling; cleared by null."""
    await crm.deliveries()
    await crm.do("personField.create", {"field_name": "Fresh", "field_type": vendor_type})
    key = (await field(crm, "Fresh")).key
    (outcome,) = await write(crm, Create("person", {"name": "Ada", key: value}))
    record = stored(outcome)
    back = record.fields[key]
    assert back == value or (isinstance(back, dict) and isinstance(value, dict) and value.items() <= back.items())
    (hint,) = [each for headers, body in await crm.deliveries() for each in crm.crm.received(headers, body)]
    assert hint.values[key] == back
    (outcome,) = await write(crm, Update("person", record.id, {key: None}, record))
    assert stored(outcome).fields[key] is None


async def test_options_go_there_and_back(crm: PipedriveSubject) -> None:
    """Enums and sets are option ids on both ways, given as text or number; a set is cleared by null."""
    tier, topics = await field(crm, "Customer tier"), await field(crm, "Newsletter topics")
    assert (tier.type, topics.type) == (FieldType.ENUM, FieldType.SET)
    gold, news = tier.options[0].id, topics.options[1].id
    (outcome,) = await write(crm, Create("person", {"name": "Ada", tier.key: gold, topics.key: [news]}))
    record = stored(outcome)
    assert (record.fields[tier.key], record.fields[topics.key]) == (int(gold), [int(news)])
    (outcome,) = await write(crm, Update("person", record.id, {topics.key: []}, record))
    assert stored(outcome).fields[topics.key] is None


async def test_the_person_of_an_activity(crm: PipedriveSubject) -> None:
    """Written as primary participant, read as person_id; a second participant stays."""
    first, second, third = await crm.make("First", "Second", "Third")
    people: list[Json] = [{"person_id": int(first), "primary": True}, {"person_id": int(second), "primary": False}]
    (outcome,) = await write(crm, Create("activity", {"subject": "Call", "type": "call", "participants": people}))
    record = stored(outcome)
    assert record.fields["person_id"] == int(first)
    (outcome,) = await write(crm, Update("activity", record.id, {"person_id": third}, record))
    after = stored(outcome)
    assert after.fields["person_id"] == int(third)
    assert {each["person_id"] for each in after.fields["participants"]} == {int(second), int(third)}  # type: ignore[union-attr, index, call-overload]


async def test_a_deal_moves_wins_and_reopens(crm: PipedriveSubject) -> None:
    """Groups of coupled keys travel in one write, with what the server fills in."""
    crm.object = "deal"
    metadata = await crm.crm.metadata(lane=LANE)
    stage = next(each for each in metadata.stages if each.pipeline_id == "2")
    deal = await created(crm, "Roof")
    steps: list[dict[str, Json]] = [
        {"pipeline_id": stage.pipeline_id, "stage_id": stage.id},
        {"status": "lost", "lost_reason": "price"},
        {"status": "open", "lost_reason": None, "lost_time": None, "close_time": None},
    ]
    for fields in steps:
        (outcome,) = await write(crm, Update("deal", deal.id, fields, deal))
        deal = stored(outcome)
    assert (deal.fields["pipeline_id"], deal.fields["stage_id"]) == (2, int(stage.id))
    assert (deal.fields["status"], deal.fields["lost_reason"], deal.fields["lost_time"]) == ("open", None, None)


@pytest.mark.parametrize(
    "kind", [Kind.TIMEOUT_AFTER, Kind.DISCONNECT_AFTER, Kind.TIMEOUT_BEFORE, Kind.DISCONNECT_BEFORE]
)
async def test_a_write_without_answer_is_in_doubt(kind: Kind) -> None:
    """Applied or not, nobody can tell; the next listing shows it."""
    async with account(timeouts=Timeouts(total=0.3)) as crm:
        crm.sandbox.faults.rules.append(Rule(kind, method="POST", count=1))
        (outcome,) = await write(crm, Create("person", {"name": "Doubtful"}))
        assert isinstance(outcome, Unknown)
        names = [record.fields["name"] for record in (await all_of(crm)).values()]
        assert names.count("Doubtful") == (1 if kind in (Kind.TIMEOUT_AFTER, Kind.DISCONNECT_AFTER) else 0)


async def test_the_clock_of_the_crm(crm: PipedriveSubject) -> None:
    """The account tells by how much the CRM's clock is ahead, and how sure that is."""
    crm.sandbox.api.company.clock.offset = timedelta(seconds=90)
    found = await crm.crm.account()
    assert abs(found.clock_offset - 90) <= found.clock_error <= 0.5


async def test_a_renamed_identity_field_stays_the_identity(crm: PipedriveSubject) -> None:
    """Its key is pinned; the name only finds it the first time."""
    assert await crm.crm.ensure_identity("person", "Connector ID", lane=LANE)
    key = (await crm.crm.metadata(lane=LANE)).identity["person"]
    await crm.do("personField.update", key, {"field_name": "Renamed"})
    assert (await crm.crm.metadata(lane=LANE)).identity["person"] == key


async def test_a_field_of_another_type_is_no_identity(crm: PipedriveSubject) -> None:
    """The name is taken: nothing is made beside it."""
    await crm.do("dealField.create", {"field_name": "Connector ID", "field_type": "double"})
    assert not await crm.crm.ensure_identity("deal", "Connector ID", lane=LANE)


async def test_an_identity_that_may_not_be_made(crm: PipedriveSubject) -> None:
    """Rights that do not suffice are an answer, no failure."""
    crm.sandbox.faults.rules.append(Rule(Kind.STATUS, method="POST", path="personFields", code=403))
    assert not await crm.crm.ensure_identity("person", "Connector ID", lane=LANE)


async def test_known_identity_keys_serve_before_the_metadata() -> None:
    """Keys remembered from earlier identify records and hints at once."""
    async with account(identity_keys={"person": "b" * 40}) as crm:
        meta = {"action": "create", "entity": "person", "entity_id": "1", "id": "e"}
        data = {"custom_fields": {"b" * 40: {"type": "varchar", "value": "k"}}}
        (hint,) = crm.crm.received({}, json.dumps({"meta": meta, "data": data}).encode())
        assert hint.identity == "k"


async def test_a_read_only_account_can_be_read(crm: PipedriveSubject) -> None:
    """Everything but changes works."""
    async with account(access=Access.READ_ONLY) as one:
        (key,) = await one.make("Seen")
        assert (await seen(one, key)).fields["name"] == "Seen"
        assert await one.deliveries() == []
        assert not one.crm.capabilities("person").write


async def test_recent_sweeps_may_be_let_into_the_reserve() -> None:
    """`changed` alone, and only where it is asked for."""
    async with account(budget=BudgetSpec(daily=100, reserve=0.95)) as crm:
        with pytest.raises(RateLimitedError):
            await crm.crm.changed("person", crm.clock.at, None, lane=Lane.SWEEP)
        await crm.crm.changed("person", crm.clock.at, None, lane=Lane.SWEEP, past_reserve=True)
        with pytest.raises(RateLimitedError):
            await crm.crm.listing("person", None, lane=Lane.SWEEP)


async def test_the_server_s_limits_are_learnt() -> None:
    """After one answer the windows are the plan's."""
    async with account(burst=20) as crm:
        crm.sandbox.control.answer("POST", "settings", {"plan": "growth"})
        await crm.crm.account()
        burst, daily = crm.crm.budget()
        assert (burst.limit, burst.unit) == (40, "requests")
        assert (daily.limit, daily.limit - daily.remaining) == (240_000, 2)


async def test_a_gone_person_is_not_created_by_an_update(crm: PipedriveSubject) -> None:
    """Deleted meanwhile: the update fails and the record stays deleted."""
    record = await created(crm, "Short-lived")
    await crm.remove(record.id)
    outcomes = await write(crm, Update("person", record.id, {"name": "Again"}, record))
    assert type(outcomes[0]).__name__ == "Failed"
    assert isinstance((await crm.crm.read("person", [record.id], lane=LANE))[record.id], Gone)


async def test_ids_that_cannot_be_ids_cost_nothing(crm: PipedriveSubject) -> None:
    """They are not visible, without a request."""
    before = spent(crm)
    await crm.crm.read("person", [CrmId("abc"), CrmId("-1"), CrmId("9" * 40), CrmId("٣")], lane=LANE)
    assert spent(crm) == before
