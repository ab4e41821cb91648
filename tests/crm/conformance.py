"""The laws of the CRM port, for every adapter.

An adapter's tests inherit `Laws` and give a fixture `subject`: the adapter, and the hands of other people in the same
CRM. Laws about an ability skip where the adapter declares that it lacks it, never by its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import pytest

from connector.core.errors import CursorExpiredError, RefusedError
from connector.core.model import CrmId, Gone, Json, Lane, NotVisible, Record
from connector.ports import (
    CRM,
    Capabilities,
    Create,
    Delete,
    Done,
    Failed,
    Hint,
    HintKind,
    NotUnderstoodError,
    Operation,
    Outcome,
    Update,
    VersionOrder,
)

LANE = Lane.LIVE
FIELD = "Connector ID"


class Subject(Protocol):
    """An adapter in a CRM of its own, one object of it, and what others do there.

    `text` is a writable text field of the object, `sample` the fields of a record with that text, `bad` fields that the
    CRM refuses, `unknown` an id of the right shape that nobody has.
    """

    @property
    def crm(self) -> CRM:
        """The adapter."""
        ...

    @property
    def object(self) -> str:
        """Its object."""
        ...

    @property
    def text(self) -> str:
        """A text field."""
        ...

    @property
    def unknown(self) -> CrmId:
        """An id that nobody has."""
        ...

    @property
    def bad(self) -> Mapping[str, Json]:
        """Fields that are refused."""
        ...

    def sample(self, text: str) -> Mapping[str, Json]:
        """Fields of a new record."""
        ...

    def tick(self) -> datetime:
        """Some seconds pass; the CRM's time now."""
        ...

    async def make(self, *texts: str) -> Sequence[CrmId]:
        """Somebody else makes records."""
        ...

    async def edit(self, crm_id: CrmId, text: str) -> None:
        """Somebody else writes the text of a record."""
        ...

    async def remove(self, crm_id: CrmId) -> None:
        """Somebody else deletes a record."""
        ...

    async def hide(self, crm_id: CrmId) -> None:
        """The record becomes invisible for us."""
        ...

    async def deliveries(self) -> Sequence[tuple[Mapping[str, str], bytes]]:
        """Webhooks since last asked; the first question subscribes."""
        ...


class Laws:
    """What every adapter does."""

    async def test_a_record_reads_as_written_by_others(self, subject: Subject) -> None:
        """A read gives the record with its id, text, version and time."""
        (key,) = await subject.make("Ada Example")
        record = await seen(subject, key)
        assert (record.object, record.id, record.fields[subject.text]) == (subject.object, key, "Ada Example")
        assert record.version is not None
        assert record.modified_at is not None
        assert record.modified_at.tzinfo is not None

    async def test_every_id_is_answered_once(self, subject: Subject) -> None:
        """Few ids or more than a batch, repeated and nonsensical ones: one answer each, the same either way."""
        keys = [*await subject.make(*(f"Record {n}" for n in range(able(subject).read_batch + 20)))]
        asked = [*keys, keys[0], subject.unknown, CrmId("no-such-shape")]
        many = await subject.crm.read(subject.object, asked, lane=LANE)
        few = await subject.crm.read(subject.object, [keys[-1], subject.unknown], lane=LANE)
        assert many.keys() == set(asked)
        assert all(isinstance(many[key], Record) for key in keys)
        assert few == {key: many[key] for key in (keys[-1], subject.unknown)}

    async def test_no_ids_cost_nothing(self, subject: Subject) -> None:
        """A read of nothing answers nothing."""
        assert await subject.crm.read(subject.object, [], lane=LANE) == {}

    async def test_absence_proves_nothing(self, subject: Subject) -> None:
        """Unknown and invisible records are NotVisible, never Gone."""
        (key,) = await subject.make("Hidden")
        await subject.hide(key)
        answers = await subject.crm.read(subject.object, [key, subject.unknown], lane=LANE)
        assert set(answers.values()) == {NotVisible()}

    async def test_a_deleted_record_is_no_record(self, subject: Subject) -> None:
        """After a deletion the id answers Gone with a proof, or not at all; the neighbours stay."""
        gone, stays = await subject.make("Gone", "Stays")
        await subject.remove(gone)
        answers = await subject.crm.read(subject.object, [gone, stays], lane=LANE)
        assert isinstance(answers[gone], Gone | NotVisible)
        assert isinstance(answers[stays], Record)

    async def test_a_listing_shows_every_record(self, subject: Subject) -> None:
        """All pages together hold each record, equal to its read, over several pages."""
        keys = await subject.make(*(f"Listed {n}" for n in range(510)))
        listed = await all_of(subject)
        assert set(keys) <= listed.keys()
        sample = [keys[0], keys[255], keys[-1]]
        assert await subject.crm.read(subject.object, sample, lane=LANE) == {key: listed[key] for key in sample}

    async def test_a_listing_is_not_torn_by_changes(self, subject: Subject) -> None:
        """Records that stay are all seen although others vanish and change between two pages."""
        keys = await subject.make(*(f"Walked {n}" for n in range(520)))
        page = await subject.crm.listing(subject.object, None, lane=LANE)
        for key in keys[:3]:
            await subject.remove(key)
        subject.tick()
        await subject.edit(keys[10], "Edited meanwhile")
        listed = {record.id for record in page.records}
        while page.cursor is not None:
            page = await subject.crm.listing(subject.object, page.cursor, lane=LANE)
            listed |= {record.id for record in page.records}
        assert set(keys[3:]) <= listed

    async def test_a_foreign_cursor_is_expired(self, subject: Subject) -> None:
        """A cursor that cannot be continued says so."""
        with pytest.raises(CursorExpiredError):
            await subject.crm.listing(subject.object, "nonsense", lane=LANE)
        with pytest.raises(CursorExpiredError):
            await subject.crm.changed(subject.object, subject.tick(), "nonsense", lane=LANE)

    async def test_changed_lists_what_changed_since(self, subject: Subject) -> None:
        """Edits at or after the moment are listed, oldest first; older records are not."""
        require(able(subject).changed_listing)
        old, first, second = await subject.make("Old", "First", "Second")
        since = subject.tick()
        await subject.edit(first, "First edit")
        subject.tick()
        await subject.edit(second, "Second edit")
        page = await subject.crm.changed(subject.object, since, None, lane=LANE)
        order = [record.id for record in page.records]
        assert [key for key in order if key in (first, second)] == [first, second]
        assert old not in order

    async def test_changed_lists_deletions_where_it_can(self, subject: Subject) -> None:
        """A declared deletion listing names what was deleted."""
        require(able(subject).deleted_listing)
        (key,) = await subject.make("To be deleted")
        since = subject.tick()
        await subject.remove(key)
        assert key in await deleted_since(subject, since)

    async def test_a_create_answers_with_the_stored_record(self, subject: Subject) -> None:
        """Done carries what a read gives."""
        record = await created(subject, "Made by us")
        assert record.fields[subject.text] == "Made by us"
        assert await seen(subject, record.id) == record

    async def test_an_update_changes_the_given_fields_only(self, subject: Subject) -> None:
        """Done carries the stored record; its version is not older; other fields stay."""
        before = await created(subject, "Before")
        subject.tick()
        (outcome,) = await write(subject, Update(subject.object, before.id, {subject.text: "After"}, before))
        after = stored(outcome)
        assert after.fields[subject.text] == "After"
        assert await seen(subject, before.id) == after
        assert subject.crm.compare(before.version, after.version) is VersionOrder.OLDER

    async def test_deleting_twice_is_done_twice(self, subject: Subject) -> None:
        """A delete answers Done without a record, also when there is nothing left to delete."""
        record = await created(subject, "Short-lived")
        for _ in range(2):
            assert await write(subject, Delete(subject.object, record.id)) == [Done(None)]
        assert isinstance(await answer(subject, record.id), Gone | NotVisible)

    async def test_outcomes_keep_the_order_and_one_failure_is_alone(self, subject: Subject) -> None:
        """A refused operation among good ones fails alone, in its place."""
        texts = [f"Batch {n}" for n in range(5)]
        operations: list[Operation] = [Create(subject.object, subject.sample(text)) for text in texts]
        operations.insert(2, Create(subject.object, {**subject.sample("Bad"), **subject.bad}))
        outcomes = await write(subject, *operations)
        refused = outcomes.pop(2)
        assert isinstance(refused, Failed)
        assert isinstance(refused.error, RefusedError)
        assert [stored(outcome).fields[subject.text] for outcome in outcomes] == texts

    async def test_an_update_of_nothing_fails(self, subject: Subject) -> None:
        """A record that is not there cannot be updated, and nothing is made in its place."""
        record = await created(subject, "Vanishing")
        ghost = Update(subject.object, subject.unknown, {subject.text: "Ghost"}, record)
        (outcome,) = await write(subject, ghost)
        assert isinstance(outcome, Failed)

    async def test_a_conditional_write_refuses_a_stale_view(self, subject: Subject) -> None:
        """Where writes are conditional, what others changed meanwhile is never overwritten."""
        require(able(subject).conditional_write)
        record = await created(subject, "Seen")
        subject.tick()
        await subject.edit(record.id, "Changed meanwhile")
        (outcome,) = await write(subject, Update(subject.object, record.id, {subject.text: "Blind"}, record))
        assert isinstance(outcome, Failed)
        assert (await seen(subject, record.id)).fields[subject.text] == "Changed meanwhile"

    async def test_an_admitted_write_is_charged_once(self, subject: Subject) -> None:
        """The price is charged on admission; the write itself charges nothing more."""
        operation = Create(subject.object, subject.sample("Priced"))
        await subject.crm.admit(operation, lane=LANE)
        left = [window.remaining for window in subject.crm.budget()]
        await subject.crm.write([operation], lane=LANE)
        assert [window.remaining for window in subject.crm.budget()] >= left

    async def test_the_identity_is_made_once_and_found_again(self, subject: Subject) -> None:
        """The identity field exists after asking for it; creates carry it, reads and listings show it."""
        require(able(subject).identity)
        for _ in range(2):
            assert await subject.crm.ensure_identity(subject.object, FIELD, lane=LANE)
        metadata = await subject.crm.metadata(lane=LANE)
        key = metadata.identity[subject.object]
        assert [f.key for f in metadata.fields[subject.object] if f.name == FIELD] == [key]
        (outcome,) = await write(subject, Create(subject.object, subject.sample("Ours"), identity="contact:17:4"))
        record = stored(outcome)
        assert record.identity == record.fields[key] == "contact:17:4"
        assert (await seen(subject, record.id)).identity == "contact:17:4"
        assert (await all_of(subject))[record.id].identity == "contact:17:4"

    async def test_an_object_without_identity_says_so(self, subject: Subject) -> None:
        """Where there is no identity none can be made."""
        require(not able(subject).identity)
        assert not await subject.crm.ensure_identity(subject.object, FIELD, lane=LANE)

    async def test_metadata_describes_the_record(self, subject: Subject) -> None:
        """Field keys are unique, the id is not writable, the text field is; we are one of the users."""
        metadata = await subject.crm.metadata(lane=LANE)
        fields = {field.key: field for field in metadata.fields[subject.object]}
        assert len(fields) == len(metadata.fields[subject.object])
        assert not fields["id"].writable
        assert fields[subject.text].writable
        assert metadata.me in {user.id for user in metadata.users}

    async def test_the_account_is_known(self, subject: Subject) -> None:
        """Company and user have names, links lead to the record."""
        account = await subject.crm.account()
        assert account.company
        assert account.user
        (key,) = await subject.make("Linked")
        assert key in subject.crm.link_url(subject.object, key)

    async def test_versions_are_ordered(self, subject: Subject) -> None:
        """A version is the same as itself; without one nothing can be told."""
        (key,) = await subject.make("Versioned")
        version = (await seen(subject, key)).version
        assert subject.crm.compare(version, version) is VersionOrder.SAME
        assert subject.crm.compare(version, None) is VersionOrder.UNKNOWN
        assert subject.crm.compare(None, None) is VersionOrder.UNKNOWN

    async def test_the_history_dates_the_last_change_of_a_field(self, subject: Subject) -> None:
        """The field that somebody changed is dated by that change, in the CRM's own time; what nobody knows is left out."""
        require(able(subject).history)
        (key,) = await subject.make("first")
        await subject.edit(key, "second")
        told = (await subject.crm.history(subject.object, [key], lane=LANE))[key]
        assert told[subject.text] == (await seen(subject, key)).modified_at

    async def test_deliveries_tell_what_a_read_tells(self, subject: Subject) -> None:
        """Hints of a creation, an edit and a deletion name the record and spell values as a read does."""
        require(able(subject).push)
        await subject.deliveries()
        (key,) = await subject.make("Pushed")
        before = await seen(subject, key)
        subject.tick()
        await subject.edit(key, "Pushed again")
        after = await seen(subject, key)
        await subject.remove(key)
        made, edited, gone = [hint for hint in await hints(subject) if hint.crm_id == key]
        assert (made.object, made.kind, made.created) == (subject.object, HintKind.CHANGED, True)
        assert (edited.kind, edited.created, gone.kind) == (HintKind.CHANGED, False, HintKind.DELETED)
        assert dict(made.values).items() <= before.fields.items()
        assert dict(edited.values).items() <= after.fields.items()
        assert dict(edited.previous).items() <= before.fields.items()
        assert subject.text in edited.previous
        assert subject.crm.compare(edited.version, after.version) is VersionOrder.SAME
        assert len({hint.id for hint in (made, edited, gone)}) == 3

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"{}", b'{"meta": 1}', b'{"meta": {}, "data": []}'])
    async def test_an_unreadable_delivery_is_not_understood(self, subject: Subject, body: bytes) -> None:
        """Whatever cannot be read is named so, and nothing else is raised."""
        with pytest.raises(NotUnderstoodError):
            subject.crm.received({}, body)

    async def test_subscriptions_come_and_go(self, subject: Subject) -> None:
        """A subscription is listed until it is ended; ending it again is fine."""
        require(able(subject).push)
        await subject.deliveries()
        (made,) = await subject.crm.subscriptions(lane=LANE)
        assert made.active
        for _ in range(2):
            await subject.crm.unsubscribe(made.id, lane=LANE)
        assert await subject.crm.subscriptions(lane=LANE) == []


def able(subject: Subject) -> Capabilities:
    """What the adapter declares."""
    return subject.crm.capabilities(subject.object)


def require(ability: bool) -> None:  # noqa: FBT001  # reads as a sentence
    """Skip a law about an ability that is declared missing."""
    if not ability:
        pytest.skip("declared missing")


async def answer(subject: Subject, key: CrmId) -> object:
    """What one id answers."""
    return (await subject.crm.read(subject.object, [key], lane=LANE))[key]


async def seen(subject: Subject, key: CrmId) -> Record:
    """The record of an id that must answer."""
    record = await answer(subject, key)
    assert isinstance(record, Record)
    return record


async def write(subject: Subject, *operations: Operation) -> list[Outcome]:
    """Outcomes of admitted operations."""
    for operation in operations:
        await subject.crm.admit(operation, lane=LANE)
    return list(await subject.crm.write(operations, lane=LANE))


async def created(subject: Subject, text: str) -> Record:
    """A record that we made."""
    return stored((await write(subject, Create(subject.object, subject.sample(text))))[0])


def stored(outcome: Outcome) -> Record:
    """The record of an outcome that must be Done with one."""
    assert isinstance(outcome, Done), outcome
    assert outcome.record is not None
    return outcome.record


async def all_of(subject: Subject) -> dict[CrmId, Record]:
    """Every record of the listing."""
    found: dict[CrmId, Record] = {}
    cursor: str | None = None
    while True:
        page = await subject.crm.listing(subject.object, cursor, lane=LANE)
        found |= {record.id: record for record in page.records}
        cursor = page.cursor
        if cursor is None:
            return found


async def deleted_since(subject: Subject, since: datetime) -> set[CrmId]:
    """What the changed listing names as deleted."""
    found: set[CrmId] = set()
    cursor: str | None = None
    while True:
        page = await subject.crm.changed(subject.object, since, cursor, lane=LANE)
        found |= set(page.deleted)
        cursor = page.cursor
        if cursor is None:
            return found


async def hints(subject: Subject) -> list[Hint]:
    """Hints of the deliveries since last asked."""
    return [hint for headers, body in await subject.deliveries() for hint in subject.crm.received(headers, body)]
