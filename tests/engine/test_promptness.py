"""What is noticed in this process is worked on at once; polls are for what happens elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.engine import fold
from tests.engine.accidents.people import TABLES, channel, first_names, people, rows
from tests.engine.rig import Rig, rig


async def test_a_delivery_waits_for_no_poll(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A webhook that this process took is folded as soon as it is stored.

    Fails when only the next poll finds it: here that is an hour away.
    """
    async with rig(database, tmp_path / "set", people(), TABLES, webhooks=True) as world:
        await world.start()
        await world.person(first_name="Ann", last_name="Test", emails=channel("ann@x.test"))
        await world.quiet()
        monkeypatch.setattr(fold, "BUSY", 3600.0)
        monkeypatch.setattr(fold, "IDLE", 3600.0)
        for name in ("Anna", "Annabel", "Annemarie"):
            await world.crm("PATCH", "/api/v2/persons/1", {"first_name": name})
            await world.until(lambda: _is_named(world, name))  # noqa: B023 (awaited before the next)


async def _is_named(world: Rig, name: str) -> bool:
    return first_names(await rows(world)) == [name]
