"""The journal: a world replayed is the world that was, whatever was done to it, and a torn line costs one command."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.sandbox import journal
from connector.sandbox.commands import OPERATIONS, Command, execute
from connector.sandbox.model import Actor
from connector.sandbox.refusals import Refusal
from connector.sandbox.server import Settings, running
from connector.sandbox.world import World
from tests.sandbox.conftest import Client

ADMIN = Actor(8800001, "app")
START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def picture(world: World) -> Any:
    """Give everything that makes up a world, for comparison."""
    return {
        "tables": {name: [row.record for row in table.rows.values()] for name, table in world.tables.items()},
        "next": {name: table.next_id for name, table in world.tables.items()},
        "fields": {entity: world.fields.of(entity) for entity in ("deal", "person", "organization", "activity")},
        "webhooks": {key: (hook.url, hook.action, hook.object) for key, hook in world.subscriptions.items()},
        "history": {key: rows for key, rows in world.history.items() if rows},
        "hidden": {user: pairs for user, pairs in world.hidden.items() if pairs},
        "switches": world.switches,
        "events": world.new_event_id(),
    }


_KEY = st.integers(1, 8)
_NAME = st.text(min_size=1, max_size=8)
_PERSON = st.fixed_dictionaries(
    {"name": _NAME}, optional={"org_id": _KEY, "emails": st.just([{"value": "a@x.test"}]), "wrong": st.just(1)}
)
_DEAL = st.fixed_dictionaries(
    {"title": _NAME},
    optional={
        "status": st.sampled_from(("open", "won", "lost", "gone")),
        "value": st.integers(0, 9) | st.floats(0, 9),
        "stage_id": _KEY,
        "person_id": st.none() | _KEY,
        "is_archived": st.booleans(),
    },
)
_NOTE = st.fixed_dictionaries({"content": _NAME, "deal_id": _KEY})
_FIELD = st.fixed_dictionaries(
    {"field_name": _NAME, "field_type": st.sampled_from(("text", "enum", "monetary"))},
    optional={"options": st.just([{"label": "A"}, {"label": "B"}])},
)
_HOOK = st.fixed_dictionaries(
    {
        "name": _NAME,
        "subscription_url": st.just("http://127.0.0.1:9/x"),
        "event_action": st.sampled_from(("*", "create", "no")),
        "event_object": st.just("*"),
    }
)


def _command(op: str, *args: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, tuple[Any, ...]]]:
    assert op in OPERATIONS
    return st.tuples(st.just(op), st.tuples(*args))


COMMANDS = st.one_of(
    _command("person.create", _PERSON),
    _command("person.update", _KEY, _PERSON),
    _command("person.delete", _KEY),
    _command("person.restore", _KEY),
    _command("person.purge", _KEY),
    _command("person.duplicate", _KEY),
    _command("person.merge", _KEY, st.fixed_dictionaries({"merge_with_id": _KEY})),
    _command("organization.merge", _KEY, st.fixed_dictionaries({"merge_with_id": _KEY})),
    _command("deal.create", _DEAL),
    _command("deal.update", _KEY, _DEAL),
    _command("deal.delete", _KEY),
    _command("note.create", _NOTE),
    _command("note.delete", _KEY),
    _command("activity.create", st.fixed_dictionaries({"subject": _NAME, "done": st.booleans()})),
    _command("personField.create", _FIELD),
    _command("webhook.create", _HOOK),
    _command("webhook.delete", _KEY),
    _command("sandbox.bulk", st.just("person"), st.integers(0, 3), st.just({"seed": 1, "webhooks": True})),
    _command("sandbox.hide", st.just(8800001), st.lists(st.tuples(st.just("person"), _KEY)), st.booleans()),
)


def _run(world: World, steps: list[tuple[str, tuple[Any, ...]]], keep: Callable[[Command], None]) -> None:
    """Run commands a second apart; refused ones leave no trace."""
    for number, (op, args) in enumerate(steps):
        command = Command(op, args, ADMIN, START + timedelta(seconds=number))
        try:
            execute(world, command)
        except Refusal:
            continue
        keep(command)


@given(steps=st.lists(COMMANDS, max_size=25))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_replayed_world_is_the_same_world(tmp_path: Path, steps: list[tuple[str, tuple[Any, ...]]]) -> None:
    """Equal in records, definitions, history, webhooks and in the ids to come; refused commands changed nothing."""
    path = tmp_path / "sandbox.jsonl"
    path.unlink(missing_ok=True)
    world = World(3)
    with journal.Journal(path) as log:
        log.begin(3)
        _run(world, [("sandbox.found", (6, 3)), *steps], log.append)
    replayed = journal.replay(path)
    assert replayed is not None
    assert picture(replayed) == picture(world)


@given(steps=st.lists(COMMANDS, min_size=1, max_size=8), cut=st.integers(1, 40))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, steps: list[tuple[str, tuple[Any, ...]]], cut: int) -> None:
    """What was whole is replayed, and the file can be appended to again."""
    path = tmp_path / "sandbox.jsonl"
    path.unlink(missing_ok=True)
    with journal.Journal(path) as log:
        log.begin(3)
        _run(World(3), [("sandbox.found", (6, 3)), *steps], log.append)
    whole = path.read_bytes().splitlines(keepends=True)
    last = whole[-1][: -min(cut, len(whole[-1]) - 1)]
    path.write_bytes(b"".join(whole[:-1]) + last)
    journal.replay(path)
    assert path.read_bytes() == b"".join(whole[:-1])


def test_a_journal_of_another_version_is_an_error(tmp_path: Path) -> None:
    """Not a guess, and not an empty company."""
    path = tmp_path / "sandbox.jsonl"
    path.write_text('{"sandbox":99,"seed":1}\n')
    with pytest.raises(journal.JournalError, match="another version"):
        journal.replay(path)
    path.write_text('{"sandbox":1,"seed":1}\n' + json.dumps({"at": "x", "user": 1, "source": "api"}) + "\n")
    with pytest.raises(journal.JournalError, match="cannot be replayed"):
        journal.replay(path)


async def test_a_second_start_keeps_the_state(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """Records, keys and tokens stay; sample data is not made again."""
    chosen = Settings(data=tmp_path, records=6, seed=5)
    async with running(chosen) as first:
        client = Client(first.url, first.token, http)
        made = (await client.post("/api/v2/persons", {"name": "Kept 猫"})).data
        await client.delete("/api/v2/persons/1")
    async with running(chosen) as second:
        assert second.token == first.token
        client = Client(second.url, second.token, http)
        assert (await client.get(f"/api/v2/persons/{made['id']}")).data == made
        assert (await client.get("/api/v2/persons/1")).data["is_deleted"] is True
        assert len(await client.walk("/api/v2/persons")) == 6


async def test_sample_data_follows_from_the_seed(http: aiohttp.ClientSession) -> None:
    """Same seed, same data; another seed, other data and other keys."""
    pictures = []
    for seed in (1, 1, 2):
        async with running(Settings(records=9, seed=seed)) as served:
            client = Client(served.url, served.token, http)
            people = await client.walk("/api/v2/persons")
            pictures.append([{**each, "add_time": "", "update_time": ""} for each in people])
    assert pictures[0] == pictures[1] != pictures[2]
