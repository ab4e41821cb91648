"""Rule 9, copies: the CRM's own copying copies our key, which must not make two records one row, nor one row two.

The accidents: a row that follows two records, a lost create taken for a copy and entered a second time.
"""

import json
from pathlib import Path

import pytest

from tests.engine.accidents.doubt import MINUTE
from tests.engine.accidents.people import (
    TABLES,
    add,
    edit,
    fault,
    links,
    people,
    persons,
    requests,
    rows,
    stopped,
    work,
)
from tests.engine.rig import Rig, rig

FILES = people(match="")


@pytest.mark.parametrize("kind", ["", "disconnect_before", "disconnect_after"])
async def test_the_copy_of_a_linked_person(database: str, tmp_path: Path, kind: str) -> None:
    """It is a new person with a row and a key of its own, and both go their own ways.

    Fails when its key stays: whoever reads it takes it for the record of the first row.
    """
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        await _copied(world, kind)
        await edit(world, 2, last_name="Copy")
        await world.quiet()
        await world.db.execute("update app.people set phone = '+44 1' where id = 1")
        await world.quiet()
        assert [(row["last"], row["phone"]) for row in await rows(world)] == [("Test", "+44 1"), ("Copy", None)]
        assert [name.partition("#")[0] for name in await _keys(world)] == ["people:1", "people:2"]
        assert set(await _reasons(world, "2")) == {"copy", "merge"} | ({"found_out"} if kind else set())


async def test_a_copy_of_what_a_mapping_with_a_colon_made(database: str, tmp_path: Path) -> None:
    """Names and keys may hold whatever their files and tables allow; the key names the row all the same.

    Fails when the first colon ends the name: nobody sees that the record is a copy, and it keeps its key.
    """
    async with rig(database, tmp_path / "set", people(match="", name='"people: 100%"'), TABLES) as world:
        await _copied(world, "")
        assert [key.partition("#")[0] for key in await _keys(world)] == ["people%3A 100%25:1", "people%3A 100%25:2"]


async def test_a_copy_where_nothing_is_sent(database: str, tmp_path: Path) -> None:
    """A mapping that only receives enters the copy, leaves its key as it is, and says so.

    Fails when a key is rewritten without leave to send, or when nobody can see that it was not.
    """
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        await world.start()
        await add(world, "ann")
        await world.quiet()
        await world.stop()
        (world.directory / "people.yaml").write_text(people(match="", direction="receive")["people.yaml"], "utf-8")
        await world.start(fetch_all=False)
        await world.control("POST", "duplicate/persons/1")
        await world.quiet()
        assert len(await rows(world)) == 2
        assert [name.partition("#")[0] for name in await _keys(world)] == ["people:1", "people:1"]
        assert await requests(world, "PATCH") == 0
        assert await _reasons(world, "2") == ["copy"]
        told = await world.ask("explain", {"mapping": "people", "key": "2"})
        assert "only receives" in json.dumps(told["blocks"])


async def test_a_create_of_ours_that_comes_back(database: str, tmp_path: Path) -> None:
    """A person whom we made twice, since the first one was deleted before anybody knew of it, is no copy when it returns.

    No second row is entered: which of the two is to stay, a person must say. Fails when whatever carries the key of a row
    counts as a copy.
    """
    async with rig(database, tmp_path / "set", FILES, TABLES) as world:
        await world.start()
        await fault(world, "disconnect_after", "POST", "persons$")
        await add(world, "ann")
        await stopped(world, ("waiting", "unknown_outcome"))
        await world.crm("DELETE", "/api/v2/persons/1")
        world.clock.leap(MINUTE)
        await world.quiet()
        assert [person["id"] for person in await persons(world)] == [2]
        await world.control("POST", "restore/persons/1")
        await world.quiet()
        assert await work(world) == [("parked", "duplicate")]
        assert len(await rows(world)) == 1


async def _copied(world: Rig, kind: str) -> None:
    """Ann was made by us and copied by somebody; the write of the copy's key may go wrong."""
    await world.start()
    await add(world, "ann")
    await world.quiet()
    if kind:
        await fault(world, kind, "PATCH", "persons")
    await world.control("POST", "duplicate/persons/1")
    await world.ask("sweep", {"kind": "recent"})
    if kind:
        await stopped(world, ("waiting", "unknown_outcome"))
        world.clock.leap(MINUTE)
    await world.quiet()
    assert [(key, crm_id) for key, crm_id, _ in await links(world)] == [("1", "1"), ("2", "2")]


async def _keys(world: Rig) -> list[str]:
    """What the persons' identity field holds."""
    assert world.daemon is not None
    context = world.daemon.running["test"].context
    assert context is not None
    key = context.rules.metadata.identity["person"]
    return [person["custom_fields"][key] for person in await persons(world)]


async def _reasons(world: Rig, person: str) -> list[str]:
    found = await world.db.fetch("select reason from connector.journal where crm_id = $1 order by id", person)
    return [row["reason"] for row in found]
