"""Whatever becomes of the files of a running connection, the set in force goes on."""

from __future__ import annotations

import os
from pathlib import Path

from tests.config.test_hostile_files import HOSTILE
from tests.engine.rig import Rig, rig
from tests.hostile.test_rotation import PERSON, TABLES

SPEED = 20.0


def _complaint(world: Rig) -> str:
    assert world.daemon is not None
    return world.daemon.running["test"].complaint


async def _refused(world: Rig) -> None:
    async def complained() -> bool:
        return "person.yaml" in _complaint(world)

    await world.until(complained)


def _put(path: Path, odd: str) -> None:
    if odd == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(odd)


async def test_the_old_set_goes_on(database: str, tmp_path: Path) -> None:
    """Hostile texts, a pipe, a device and a link to nothing, one after the other; at last the mended file is taken over."""
    async with rig(database, tmp_path / "set", {"person.yaml": PERSON}, TABLES, speed=SPEED) as world:
        await world.start()
        version = await world.db.fetchval("select version from connector.set")
        path = world.directory / "person.yaml"
        for name in ("billion laughs", "an object of Python", "deep flow, closed", "too large", "NUL"):
            path.write_text(HOSTILE[name], encoding="utf-8")
            await _refused(world)
            world.daemon.running["test"].complaint = ""  # type: ignore[union-attr]
        for odd in ("pipe", "/dev/zero", "nowhere"):
            path.unlink()
            _put(path, odd)
            await _refused(world)
            world.daemon.running["test"].complaint = ""  # type: ignore[union-attr]
        await world.db.execute("insert into app.people (name) values ('Ada')")
        await world.quiet()
        assert [person["name"] for person in await world.crm("GET", "/api/v2/persons")] == ["Ada"]
        assert await world.db.fetchval("select version from connector.set") == version
        path.unlink()
        path.write_text(PERSON + "# mended\n", encoding="utf-8")
        await world.until(
            lambda: world.db.fetchval("select version <> $1 from connector.set", version),
        )
