"""A defect of ours costs the records that meet it, and nobody else: neither their batch nor a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.core.convert.joint import Joint
from connector.core.line import Refs
from connector.core.model import Json
from tests.engine.accidents.people import TABLES, channel, people, rows, stopped
from tests.engine.rig import rig

UNLUCKY = "Unlucky"


@pytest.fixture
def defect(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Plants a defect that one value meets."""
    sound = Joint.to_app

    def to_app(self: Joint, crm: Json, refs: Refs, /) -> Json:
        if crm == UNLUCKY:
            raise RuntimeError("planted")
        return sound(self, crm, refs)

    monkeypatch.setattr(Joint, "to_app", to_app)
    return monkeypatch


@pytest.mark.parametrize("webhooks", [True, False], ids=["webhooks", "sweeps"])
async def test_one_record_is_parked(
    database: str, tmp_path: Path, defect: pytest.MonkeyPatch, *, webhooks: bool
) -> None:
    """The others of its batch or page arrive, sweeps go on; once we are mended, a retry brings it too.

    Fails when a page does not contain what its reconcile raises: the connection ends, again and again.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=webhooks) as world:
        await world.start()
        for name in ("Ann", UNLUCKY, "Bob"):
            await world.person(first_name=name, last_name="Test", emails=channel(f"{name}@x.test"))
        await world.ask("sweep", {"kind": "recent"})
        await stopped(world, ("parked", "defect:runtimeerror"))
        assert sorted(row["first"] for row in await rows(world)) == ["Ann", "Bob"]
        await world.ask("sweep", {"kind": "full"})
        defect.undo()
        await world.ask("retry", {})
        await world.idle()
        assert sorted(row["first"] for row in await rows(world)) == ["Ann", "Bob", UNLUCKY]
