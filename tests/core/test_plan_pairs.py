"""Both sides are known: deaths, filters, hand-overs. Whole plans, field by field; the rest is in tests/scenarios."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from connector.core.line import BoundMapping
from connector.core.mapping import Direction
from connector.core.merge import Parent
from connector.core.model import CrmId, Gone, Json, LinkId, LinkState, Moved, NotVisible, Pair, Side, Undo
from connector.core.plan import (
    DeleteRecord,
    DeleteRow,
    Kin,
    Plan,
    Readiness,
    Situation,
    Step,
    UpdateRecord,
    UpdateRow,
    plan,
    unsent,
)
from tests.core.people import TIER, Couple, mapping

FIELDS = "fields:\n  - {column: name, crm: name}\n  - {column: company_id, crm: org_id, link: company}\n"
ONLY = "only: {receive: {job: staff}, send: {status: open}}\n"
ROW: Mapping[str, str | None] = {"name": "Ann", "status": "open"}
RECORD: Mapping[str, Json] = {"name": "Ann", "job": "staff", "org_id": None}
LINKED, FROZEN, UNLINKED, DELETED = LinkState.LINKED, LinkState.FROZEN, LinkState.UNLINKED, LinkState.DELETED


def bound(head: str = "", direction: str = "both") -> BoundMapping:
    """The mapping with these keys."""
    return mapping(f"direction: {direction}\n{ONLY}{head}\n{FIELDS}")


BOTH = bound()


def paired(
    columns: Mapping[str, Any] | None = None,
    fields: Mapping[str, Any] | None = None,
    of: BoundMapping = BOTH,
    *,
    state: LinkState = LINKED,
    origin: Side = Side.APP,
    **more: Any,
) -> Situation:
    """A pair that was agreed on as ROW and RECORD, and what differs since."""
    couple = Couple(of, {**ROW, **(columns or {})}, {**RECORD, **(fields or {})}).based(ROW, RECORD)
    seen = couple.situation()
    return replace(seen, link=replace(seen.link, state=state, origin=origin), **more)


def test_agreement() -> None:
    """Nothing has changed: nothing is done."""
    found = plan(paired())
    assert replace(found, decisions=()) == Plan(Step.DONE, "in_agreement", LINKED)


def test_a_mapping_without_a_direction() -> None:
    """A pair stays as it is, whatever happens to it."""
    none = replace(BOTH, direction=Direction.NONE)
    assert plan(paired({"name": "Bea"}, of=none, state=FROZEN)) == Plan(Step.DONE, "direction", FROZEN)
    assert plan(paired(of=none, crm=Gone("is_deleted"))) == Plan(Step.DONE, "direction", LINKED)


def test_an_edit_on_either_side() -> None:
    """Each goes to the other side; what both do at once is one plan."""
    found = plan(paired({"name": "Bea"}, {"org_id": 12}))
    expected = Plan(
        Step.APPLY, "merge", LINKED, row=UpdateRow({"company_id": "5"}), record=UpdateRecord({"name": "Bea"})
    )
    assert replace(found, decisions=()) == expected


def test_what_is_agreed_on_is_written_down() -> None:
    """At first sight two equal sides need no write, but their base has to be kept."""
    seen = paired()
    found = plan(replace(seen, link=replace(seen.link, base={})))
    assert replace(found, decisions=()) == Plan(Step.APPLY, "merge", LINKED)


def test_what_set_wrote_into_a_row_that_is_paired_again() -> None:
    """It is taken back although no line has anything to write."""
    seen = paired({"owner": "gone"})
    found = plan(replace(seen, link=replace(seen.link, restore={"owner": Undo("ann", "gone")})))
    assert replace(found, decisions=()) == Plan(Step.APPLY, "merge", LINKED, row=UpdateRow({"owner": "ann"}))


def test_before_the_first_fetch_all() -> None:
    """What is received is received; what is to be sent is deferred, and told as such."""
    found = plan(paired({"name": "Bea"}, {"org_id": 12}, ready=Readiness(sends=False)))
    expected = Plan(Step.APPLY, "merge", LINKED, row=UpdateRow({"company_id": "5"}), deferred_sends=True)
    assert replace(found, decisions=()) == expected


def test_a_parent_on_its_way() -> None:
    """The pair waits for it; whatever else has moved is written meanwhile."""
    parent = Parent("company", Side.APP, "6")
    found = plan(paired({"company_id": "6"}))
    assert replace(found, decisions=()) == Plan(Step.WAIT, "parent", LINKED, cause="parent", parents=(parent,))
    found = plan(paired({"company_id": "6", "name": "Bea"}))
    expected = Plan(
        Step.APPLY, "merge", LINKED, record=UpdateRecord({"name": "Bea"}), cause="parent", parents=(parent,)
    )
    assert replace(found, decisions=()) == expected


def test_a_copy_gets_a_key_of_its_own() -> None:
    """Though nothing else is to be written; unless it may not be written at all, or not yet."""
    done = replace(plan(paired(kin=Kin.COPY)), decisions=())
    assert done == Plan(Step.APPLY, "copy", LINKED, record=UpdateRecord({}, rekey=True))
    assert done.keyed
    early = plan(paired(kin=Kin.COPY, ready=Readiness(sends=False)))
    assert replace(early, decisions=()) == Plan(Step.APPLY, "copy", LINKED, deferred_sends=True)
    assert not early.keyed
    assert plan(paired(kin=Kin.COPY, of=bound(direction="receive"))).reason == "in_agreement"
    shelved = paired(kin=Kin.COPY)
    assert plan(replace(shelved, crm=replace(Couple(BOTH, ROW, RECORD).record, archived=True))).record is None


def test_a_half_that_was_taken_by_a_guess() -> None:
    """One that may as well mean another is a question for a person."""
    assert plan(paired(peers=True)) == Plan(Step.PARK, "ambiguous", LinkState.OPEN, cause="ambiguous")


def test_what_an_archived_record_may_get() -> None:
    """Nothing; what is edited in it is received."""
    seen = paired({"name": "Bea"}, {"org_id": 12})
    found = plan(replace(seen, crm=replace(Couple(BOTH, ROW, {**RECORD, "org_id": 12}).record, archived=True)))
    assert (found.row, found.record) == (UpdateRow({"company_id": "5"}), None)


GONE = Plan(Step.APPLY, "crm_deleted:is_deleted", DELETED, died=Side.CRM)
SET = "deletes: {receive: {set: {archived_at: now, owner: gone, role: null}}}"
MARKED = {"archived_at": "2026-05-04 12:00:00+00:00", "owner": "gone", "role": None}


def test_the_record_was_deleted() -> None:
    """`deletes.receive` says what happens to the row; what `set` writes is remembered, to be taken back."""
    gone: dict[str, Any] = {"crm": Gone("is_deleted")}
    assert plan(paired(of=bound("deletes: {receive: delete}"), **gone)) == replace(GONE, row=DeleteRow())
    assert plan(paired(of=bound(SET), **gone)) == replace(GONE, row=UpdateRow(MARKED), restore=MARKED)
    apart = replace(GONE, state=UNLINKED)
    assert plan(paired(of=bound("deletes: {receive: unlink}"), **gone)) == apart
    assert plan(paired(of=bound("deletes: {receive: none}"), **gone)) == apart
    assert plan(paired(of=bound("deletes: {receive: delete}"), row=None, **gone)) == GONE


def test_a_row_that_others_lean_on() -> None:
    """It stays until they have said where they belong now; those that do not move in time are a person's. Others go."""
    seen: dict[str, Any] = {"crm": Gone("is_deleted"), "leaning": LinkId(8), "of": bound("deletes: {receive: delete}")}
    rests = Plan(Step.WAIT, "leant_on", FROZEN, cause="leant_on", behind=LinkId(8))
    left_filter = bound("on_leave: delete\ndeletes: {receive: delete}")
    assert plan(paired(fields={"job": "guest"}, of=left_filter, leaning=LinkId(8), state=FROZEN)).step is Step.WAIT
    assert plan(paired(**seen)) == replace(rests, state=LINKED)
    assert plan(paired(**seen, unmoved=True)) == replace(rests, step=Step.PARK, state=LINKED)
    assert plan(paired(**{**seen, "of": bound("deletes: {receive: unlink}")})).state is UNLINKED


def test_a_record_that_does_not_answer() -> None:
    """Without a delete event nobody knows; with one it was deleted."""
    delete = bound("deletes: {receive: delete}")
    hidden = Plan(Step.PARK, "missing", LINKED, cause="missing")
    assert plan(paired(of=delete, crm=NotVisible())) == hidden
    assert plan(paired(of=delete, crm=None)) == hidden
    told = replace(GONE, reason="crm_deleted:event", row=DeleteRow())
    assert plan(paired(of=delete, crm=NotVisible(), evidence=True)) == told
    assert plan(paired(of=delete, crm=None, evidence=True)) == told


def test_a_record_that_was_merged() -> None:
    """The link goes along; where two rows met on one record, an edit that the CRM has not got needs a person."""
    assert plan(paired(crm=Moved(CrmId("9")))) == Plan(Step.MOVE, "merged", LINKED, adopt=CrmId("9"))
    clash = paired({"name": "Bea"}, crm=Gone("merged"), contested=True, state=FROZEN)
    assert plan(clash) == Plan(Step.PARK, "merge_unsent", FROZEN, cause="merge_unsent")


def test_unsent_edits() -> None:
    """Of lines that are sent, in another meaning than agreed; a line without a base was never sent."""
    seen = paired({"name": "Bea"})
    row = Couple(BOTH, {**ROW, "name": "Bea"}, {}).row
    assert unsent(BOTH, seen.link, row)
    assert not unsent(BOTH, seen.link, Couple(BOTH, ROW, {}).row)
    assert not unsent(BOTH, replace(seen.link, base={}), row)
    assert not unsent(bound(direction="receive"), seen.link, row)


DIED = Plan(Step.APPLY, "app_deleted", DELETED, died=Side.APP)


def test_the_row_was_deleted() -> None:
    """`deletes.send` says what happens to the record; one that is archived cannot be deleted, a person is needed."""
    delete = bound("deletes: {send: delete}")
    assert plan(paired(of=delete, row=None)) == replace(DIED, record=DeleteRecord())
    assert plan(paired(of=bound("deletes: {send: unlink}"), row=None)) == replace(DIED, state=UNLINKED)
    assert plan(paired(of=delete, row=None, state=FROZEN)) == replace(DIED, state=UNLINKED)
    only_receives = bound("deletes: {send: delete}", direction="receive")
    assert plan(paired(of=only_receives, row=None)) == replace(DIED, state=UNLINKED)
    early = paired(of=delete, row=None, ready=Readiness(sends=False))
    assert plan(early) == Plan(Step.WAIT, "first_fetch_all", LinkState.OPEN, cause="first_fetch_all")
    seen = paired(of=delete, row=None)
    shelved = replace(seen, crm=replace(Couple(delete, ROW, RECORD).record, archived=True))
    assert plan(shelved) == Plan(Step.PARK, "archived", LINKED, cause="archived")


def test_one_of_two_halves_that_were_to_be_joined_is_gone() -> None:
    """Nothing that was agreed has died: the halves start anew."""
    expected = Plan(Step.WAIT, "same_key", LinkState.OPEN, cause="same_key")
    delete = bound("deletes: {send: delete, receive: delete}")
    assert plan(paired(of=delete, state=LinkState.OPEN, row=None)) == expected
    assert plan(paired(of=delete, state=LinkState.OPEN, crm=Gone("is_deleted"))) == expected
    assert plan(paired(of=delete, state=LinkState.OPEN)).reason == "merge"


def left(state: LinkState, cause: str, **more: Any) -> Plan:
    """A pair of which one side left its filter."""
    return Plan(Step.APPLY, "left_filter", state, cause=cause, **more)


def test_a_record_that_leaves() -> None:
    """`on_leave` says what becomes of the pair; the plan names the condition."""
    guest = {"job": "guest"}
    assert plan(paired(fields=guest)) == left(FROZEN, "only.receive job")
    assert plan(paired(fields=guest, of=bound("on_leave: unlink"))) == left(UNLINKED, "only.receive job")
    gone = replace(GONE, reason="crm_deleted:left_filter", cause="only.receive job", row=DeleteRow())
    assert plan(paired(fields=guest, of=bound("on_leave: delete\ndeletes: {receive: delete}"))) == gone
    frozen = paired({"name": "Bea"}, guest, state=FROZEN)
    assert plan(frozen) == Plan(Step.DONE, "frozen", FROZEN, cause="only.receive job")


def test_a_record_that_goes_to_another_mapping() -> None:
    """It is that mapping's from now on, whatever `on_leave` says of the pair, and although it was frozen already."""
    more: dict[str, Any] = {"fields": {"job": "guest"}, "heir": "client"}
    assert plan(paired(**more)) == left(FROZEN, "belongs_to client", heir="client")
    assert plan(paired(**more, state=FROZEN)) == left(FROZEN, "belongs_to client", heir="client")
    assert plan(paired(**more, of=bound("on_leave: unlink"))) == left(UNLINKED, "belongs_to client", heir="client")
    gone = plan(paired(**more, of=bound("on_leave: delete\ndeletes: {receive: delete}")))
    assert gone == replace(
        GONE, reason="crm_deleted:left_filter", cause="belongs_to client", row=DeleteRow(), heir="client"
    )
    assert gone.releases
    assert plan(paired(**more, row=None)) == left(FROZEN, "belongs_to client", heir="client")


def test_a_row_that_leaves() -> None:
    """As a record; but a row that was received never had to pass, where something is received."""
    shut = {"status": "shut"}
    assert plan(paired(shut)) == left(FROZEN, "only.send status")
    assert plan(paired(shut, heir="client")) == left(FROZEN, "only.send status")
    assert plan(paired(shut, of=bound("on_leave: unlink"))) == left(UNLINKED, "only.send status")
    delete = bound("on_leave: delete\ndeletes: {send: delete}")
    assert plan(paired(shut, of=delete)) == replace(DIED, record=DeleteRecord())
    assert plan(paired(shut, origin=Side.CRM)).reason == "in_agreement"
    only_sends = mapping(f"direction: send\nonly: {{send: {{status: open}}}}\n{FIELDS}")
    assert plan(paired(shut, of=only_sends, origin=Side.CRM)) == left(FROZEN, "only.send status")


def test_a_row_that_was_received_and_does_not_pass() -> None:
    """It stays paired and gets what is edited in the CRM; nothing of it is sent."""
    found = plan(paired({"status": "shut", "name": "Bea"}, {"org_id": 12}, origin=Side.CRM))
    assert (found.row, found.record) == (UpdateRow({"company_id": "5"}), None)


def test_a_record_that_will_pass_once_the_edit_of_its_row_is_sent() -> None:
    """It has not left: the app has just put it right."""
    of = mapping(
        "direction: both\nonly: {receive: {Tier: Gold}}\n"
        "fields:\n  - {column: tier, crm: Tier, values: {gold: Gold, silver: Silver}}\n"
    )
    seen = Couple(of, {"tier": "gold"}, {TIER: 71}).based({"tier": "silver"}, {TIER: 71})
    assert plan(seen.situation()).record == UpdateRecord({TIER: "70"})
    assert plan(replace(seen, columns={"tier": "silver"}).situation()).reason == "left_filter"


def test_parents_of_a_filter_that_a_pair_left() -> None:
    """They are named as long as the pair is frozen: the link of any of them would let it pass again."""
    only = "only: {receive: {org_id: {in: company}}, send: {company_id: {in: company}}}"
    of = mapping(f"direction: both\n{only}\n{FIELDS}")
    org, company = Parent("company", Side.CRM, "13"), Parent("company", Side.APP, "6")
    values: dict[str, Any] = {"columns": {"company_id": "6"}, "fields": {"org_id": 13}, "of": of}
    assert plan(paired(**values)) == left(FROZEN, "only.receive org_id", awaited=(org,))
    assert plan(paired(**values, state=FROZEN)).awaited == (org,)
    inside: dict[str, Any] = {"linked_in": lambda name, key: (name, key) == ("company", "13")}
    assert plan(paired(**values, **inside)) == left(FROZEN, "only.send company_id", awaited=(company,))


CLIENT = replace(
    mapping(
        "direction: both\nonly: {send: {status: client}, receive: {job: staff}}\nset: {crm: {Tier: Gold}}\n" + FIELDS
    ),
    name="client",
)


def handed(head: str = "", taker: BoundMapping = CLIENT, direction: str = "both", **more: Any) -> Plan:
    """The plan for a row that the app made a client."""
    of = bound(head, direction)
    return plan(paired({"status": "client"}, {TIER: 71}, of=of, siblings=[bound(), taker], **more))


def test_a_row_that_becomes_another_kind_takes_its_record_along() -> None:
    """What is agreed goes on there, and what the taker's `set` says is to be sent: its base is what the CRM holds."""
    found = handed()
    tier = CLIENT.constants[0]
    base = paired().link.base
    expected = left(
        FROZEN, "belongs_to client", taker="client", bequest={**base, tier.name: Pair(None, "71", tier.rule)}
    )
    assert found == expected
    assert found.releases
    bare = plan(paired({"status": "client"}, siblings=[CLIENT]))
    assert bare.bequest == {**base, tier.name: Pair(None, None, tier.rule)}


def test_on_leave_parts_a_row_from_its_record() -> None:
    """`unlink`: both stay where they are; `delete`: the record goes. Either way the row is the taker's."""
    assert handed("on_leave: unlink") == left(UNLINKED, "belongs_to client", taker="client")
    found = handed("on_leave: delete\ndeletes: {send: delete}")
    assert found == replace(DIED, record=DeleteRecord(), taker="client")


def test_a_record_that_could_not_stay_there_does_not_follow() -> None:
    """It would leave the taker's filter at once: the pair freezes where it is."""
    picky = replace(
        CLIENT, only_receive=mapping(f"direction: both\nonly: {{receive: {{job: boss}}}}\n{FIELDS}").only_receive
    )
    assert handed(taker=picky) == left(FROZEN, "only.send status")


def test_a_record_that_will_pass_once_the_takers_constants_are_sent_follows() -> None:
    """The taker's filter asks for what its own `set` writes."""
    gold = mapping(f"direction: both\nonly: {{receive: {{Tier: Gold}}}}\n{FIELDS}").only_receive
    assert handed(taker=replace(CLIENT, only_receive=gold)).taker == "client"


def test_a_row_that_nobody_takes() -> None:
    """It leaves its filter like any other; one that passes goes nowhere, nor does one whose record left."""
    nobody = paired({"status": "shut"}, siblings=[CLIENT])
    assert plan(nobody) == left(FROZEN, "only.send status")
    assert plan(paired(siblings=[bound()])).reason == "in_agreement"
    gone = paired({"status": "client"}, {"job": "guest"}, siblings=[CLIENT])
    assert plan(gone) == left(FROZEN, "only.receive job")
    anything = replace(CLIENT, only_receive=())
    assert plan(paired({"status": "client"}, {"job": "guest"}, siblings=[anything])) == left(FROZEN, "only.receive job")
    assert handed(direction="receive").reason == "in_agreement"


def test_a_record_that_was_received_goes_along_too() -> None:
    """A row of the CRM's that the app makes a client, though it never had to pass `only.send`."""
    assert handed(origin=Side.CRM).taker == "client"


def test_a_link_that_only_remembers() -> None:
    """Its record is another mapping's: nothing flows; it goes with its row, unless it remembers a death."""
    seen = paired({"name": "Bea"}, state=FROZEN)
    kept = replace(seen, link=replace(seen.link, released=True))
    assert plan(kept) == Plan(Step.DONE, "other_kind", FROZEN)
    assert plan(replace(kept, row=None)) == Plan(Step.DROP, "row_gone", FROZEN)
    dead = replace(kept, link=replace(kept.link, state=DELETED))
    assert plan(replace(dead, row=None)) == Plan(Step.DONE, "other_kind", DELETED)
