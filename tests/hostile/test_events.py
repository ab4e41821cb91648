"""What an authenticated delivery may say without harm: every event is folded or given up, and the daemon works on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import patch

import pytest

from connector.core.identity import identity_intent, identity_row
from connector.core.model import CrmId
from connector.crm.pipedrive.webhooks import hint
from connector.engine.fold import Folder
from connector.engine.observe.case import int_or
from connector.ports import Hint, HintKind, NotUnderstoodError
from connector.store.hints import hint_json
from tests.engine.business import FILES, TABLES
from tests.engine.rig import Rig, rig
from tests.hostile.deliveries import body, deliver, noise

FIELD = "IDENTITY"
"""Stands for the key of the identity field."""
NO_IDS = ("9" * 10_000, noise(30_000), "1/../../users/me", "²", "1 ", "\u202e1")
NO_TEXTS: tuple[object, ...] = ("", None, {}, [1], True, 1.5)
ODD = {
    "identity that is no number": body(data={"custom_fields": {FIELD: "contact:1#²"}}, previous={"name": "x"}),
    "identity beyond bigint": body(data={"custom_fields": {FIELD: "contact:1#" + "9" * 23}}, previous={"name": "x"}),
    "identity beyond int": body(data={"custom_fields": {FIELD: "contact:1#" + "9" * 5_000}}, previous={"name": "x"}),
    "long event": body(id=noise(300_000)),
    "long object": body(entity=noise(30_000)),
    "long actor": body(user_id=noise(30_000), change_source=noise(30_000), previous={"name": "x"}, data={}),
    "lists of anything": body(data={"emails": [1, None, {"value": {}}, []]}, previous={"emails": [[]], "phones": 3}),
    "objects for references": body(data={"org_id": {"a": 1}}, previous={"org_id": [1]}),
    "numbers for names": body(data={"first_name": 1e308, "last_name": 10**400}, previous={"first_name": True}),
    "before the first year": body(data={"update_time": "0001-01-01T00:00:00+14:00"}, previous={"name": "x"}),
    "after the last year": body(timestamp="9999-12-31T23:59:59.999999-12:00", previous={"name": "x"}),
    "merged into itself": body(action="delete", merged_to_id="1"),
    "merged in a ring": body("2", action="delete", merged_to_id="3", merged_from_id="3"),
    "versions of any shape": body(data={"update_time": "zzz"}, previous={"name": "x"}),
    "a deal of nonsense": body(entity="deal", data={"value": "x", "status": {}}, previous={"value": {}}),
    "deep": b'{"meta":{"entity":"person","action":"change","entity_id":"1"},"data":{"name":'
    + b"[" * 900
    + b"]" * 900
    + b"}}",
}


@pytest.fixture
async def world(database: str, tmp_path: Path) -> AsyncIterator[Rig]:
    """A business with webhooks."""
    async with rig(database, tmp_path / "set", FILES, TABLES, webhooks=True, records=12) as made:
        await made.start()
        yield made


async def _send(world: Rig, sent: bytes) -> None:
    assert world.daemon is not None
    address = world.daemon.running["test"].address
    assert address is not None
    assert await deliver(world.http, address, sent) == 200


async def _folded(world: Rig) -> None:
    async def none_left() -> bool:
        return not await world.db.fetchval("select exists (select 1 from connector.event)")

    await world.until(none_left)


def test_what_is_no_id_is_not_understood() -> None:
    """It would become part of an address and of an index. Any text passed; one of 40,000 letters ended the daemon."""
    merges = [body(**{name: key}) for key in NO_IDS for name in ("merged_to_id", "merged_from_id")]
    for sent in [*merges, *(body(key) for key in (*NO_IDS, *NO_TEXTS))]:
        with pytest.raises(NotUnderstoodError):
            hint(sent, {})


async def test_odd_events_are_folded(world: Rig) -> None:
    """All of them at once. The owner ended by any of the identities that are no numbers, again at every start."""
    fields = await world.crm("GET", "/api/v2/personFields", limit=500)
    identity = next(field["field_code"] for field in fields if field["field_name"] == "Connector ID")
    epoch = await world.db.fetchval("select epoch from connector.lease")
    for sent in ODD.values():
        await _send(world, sent.replace(FIELD.encode(), identity.encode()))
    await _folded(world)
    await world.person(name="Ada Alive", emails=[{"value": "alive@example.test", "primary": True}])
    await world.until(
        lambda: world.db.fetchval("select exists (select 1 from app.contacts where email like 'alive@%')")
    )
    assert await world.db.fetchval("select epoch from connector.lease") == epoch
    assert not await world.db.fetchval("select exists (select 1 from connector.work where cause like 'defect%')")


async def test_a_name_that_no_object_has_is_told_to_nobody(world: Rig) -> None:
    """Else whoever may deliver could make a label of any text, and as many of them as he likes."""
    await _send(world, body(entity="canary"))
    await _send(world, body(entity="deal", previous={"title": "x"}))
    assert world.daemon is not None
    told = world.daemon.metrics.render().decode()
    assert 'object="deal",result="stored"' in told
    assert 'object="other",result="stored"' in told
    assert "canary" not in told


@pytest.mark.parametrize(
    "text", ["contact:1#²", "contact:1#" + "9" * 23, "contact:1#" + "9" * 5_000, "#-1", "#1_0", "#"]
)
def test_what_people_write_into_the_identity_field_names_no_intent(text: str) -> None:
    """`²` counts as a digit, and is no number."""
    assert identity_intent(text) is None
    assert identity_row(text) is None


def test_ids_that_are_no_numbers_are_sorted_as_text() -> None:
    """Of any length and script."""
    ids = [CrmId(text) for text in ("²", "9" * 5_000, "10", "9", "b")]
    assert sorted(ids, key=int_or)[-2:] == ["9", "10"]


def test_names_longer_than_an_index_takes_are_not_stored() -> None:
    """Whatever adapter let them pass."""
    for name in ("id", "object", "crm_id", "version", "actor", "merged_to"):
        names = {"id": "e", "object": "person", "crm_id": "1", name: noise(3_000)}
        with pytest.raises(ValueError, match="too long"):
            hint_json(Hint(kind=HintKind.CHANGED, **names))  # type: ignore[arg-type]


async def test_an_event_that_cannot_be_folded_costs_itself_alone(world: Rig) -> None:
    """One among many, by a defect of ours: the others are folded, a recent sweep is due, the owner stays."""
    marks, epoch = Folder._fold_object, await world.db.fetchval("select epoch from connector.lease")

    async def trips(self: Folder, db: object, name: str, hints: list[Hint], now: object) -> None:
        if any(each.crm_id == "666" for each in hints):
            raise KeyError("a defect")
        await marks(self, db, name, hints, now)  # type: ignore[arg-type]

    swept = await world.db.fetchval(
        "select finished_at from connector.sweep where object = 'person' and kind = 'recent'"
    )
    with patch.object(Folder, "_fold_object", trips):
        for number in [*range(1000, 1020), 666, *range(1020, 1040)]:
            await _send(world, body(str(number)))
        await _folded(world)
    found = await world.db.fetch("select crm_id from connector.link where crm_id like '10__'")
    assert {str(number) for number in range(1000, 1040)} <= {row["crm_id"] for row in found}
    assert not await world.db.fetchval("select exists (select 1 from connector.link where crm_id = '666')")
    assert await world.db.fetchval("select epoch from connector.lease") == epoch
    await world.until(
        lambda: world.db.fetchval(
            "select finished_at > $1 from connector.sweep where object = 'person' and kind = 'recent'", swept
        )
    )
