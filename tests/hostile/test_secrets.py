"""Credentials: nothing that opens a door stands readable in the database, and the key to them can be changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import asyncpg
import pytest

from connector.app.daemon import Daemon, Options
from connector.app.sets import Account, load_directory
from connector.config.loader import load, parse_set
from connector.service.server import Address
from connector.store.cipher import Cipher, SecretError
from connector.store.resealing import SOON
from tests.config.files import FIELDS, HEAD
from tests.engine.rig import CONNECTION, Rig, rig
from tests.hostile.test_rotation import PERSON, TABLES, address_of, status, subscribed

LITERAL = "literal-8472-secret"
LITERALS = (
    f"crm: pipedrive\ncredentials: {{api_token: {LITERAL}}}\nwebhooks: off\n",
    f'crm: pipedrive\ncredentials:\n  api_token: "{LITERAL}"  # ours\n',
    f"credentials:\n  api_token: |\n    {LITERAL}\ncrm: pipedrive\n",
    f"crm: pipedrive\ncredentials: {{api_token: !!str {LITERAL}}}\n",
    "crm: pipedrive\ncredentials: {api_token: crm}\n",
)


@pytest.fixture
async def world(database: str, tmp_path: Path) -> AsyncIterator[Rig]:
    """A daemon with webhooks, whose account's token stands in the file itself."""
    connection = CONNECTION.replace("env:UNUSED", LITERAL)
    files = {"person.yaml": PERSON}
    async with rig(database, tmp_path / "set", files, TABLES, connection=connection, webhooks=True) as made:
        await made.start()
        yield made


async def dump(db: asyncpg.Connection) -> str:
    """Every row of every table and view of schema `connector` as text; bytes also as the text that they might be."""
    names = await db.fetch(
        "select format('%I.%I', table_schema, table_name) as name from information_schema.tables where table_schema = 'connector'"
    )
    rows = [row for each in names for row in await db.fetch(f"select t.* from {each['name']} t")]
    return "\n".join(_spelt(value) for row in rows for value in row.values())


def _spelt(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


async def test_no_secret_stands_in_the_database(world: Rig) -> None:
    """The account's token, the webhook's password, and a token that an admin wrote into the file itself.

    The applied set was stored as it stood, with that token.
    """
    found = await dump(world.db)
    assert "api_token" in found
    for secret in (world.sandbox.token, address_of(world).password, LITERAL):
        assert secret not in found


@pytest.mark.parametrize("text", LITERALS)
def test_a_set_without_its_secrets_is_the_same_set(text: str) -> None:
    """However they are written; what is stored reads as what was applied, or commands would take it for an edited one."""
    loaded = parse_set({"connection.yaml": text, "a.yaml": HEAD + FIELDS}, name="acme")
    stored = parse_set(loaded.kept, name="acme")
    assert LITERAL not in str(loaded.kept)
    assert (stored.set.version, stored.set.connection.crm) == (loaded.set.version, "pipedrive")
    assert (bool(loaded.warnings), stored.warnings) == (True, ())


def test_what_is_no_secret_is_stored_as_it_stands() -> None:
    """References and mapping files."""
    files = {"connection.yaml": "crm: pipedrive\ncredentials: {api_token: env:A}\n", "a.yaml": HEAD + FIELDS}
    assert parse_set(files, name="acme").kept == files


async def test_the_key_is_changed_and_the_old_one_forgotten(world: Rig) -> None:
    """With both keys everything is stored anew at the start; then the new key alone is enough, and matching goes on.

    Left as it was, the webhook password kept the old key needed for ever.
    """
    password = address_of(world).password
    await world.person(name="Ada")
    await world.quiet()
    linked = await world.db.fetchval(
        "select count(*) from connector.link where crm_id is not null and app_key is not null"
    )
    hashes = await world.db.fetch("select hash from connector.match_key order by 1")
    await world.stop()
    for keys in (("new", "key"), ("new", None)):
        world.keys = keys
        await world.start(fetch_all=False)
        assert await status(world, password) == 200
        await world.quiet()
        await world.stop()
    stored = await world.db.fetch("select sealed from connector.webhook_password")
    sealed = await world.db.fetchval("select credentials from connector.connection")
    assert Cipher("new").decrypt(sealed, "account:test").endswith(world.sandbox.token)
    assert [Cipher("new").decrypt(row["sealed"], "webhook:test") for row in stored] == [password]
    with pytest.raises(SecretError):
        Cipher("key").decrypt(sealed, "account:test")
    await world.db.execute("insert into app.people (name) values ('Ada')")
    world.keys = ("new", None)
    await world.start(fetch_all=False)
    await world.quiet()
    assert linked == 1
    assert await world.db.fetch("select hash from connector.match_key order by 1") == hashes
    assert len(await world.crm("GET", "/api/v2/persons")) == 1


async def test_a_password_that_the_old_key_protected_is_replaced(world: Rig) -> None:
    """Soon, but not before every replica has the new key."""
    await world.stop()
    world.keys = ("new", "key")
    await world.start(fetch_all=False)
    due = await world.db.fetchval("select due_at from connector.webhook_password")
    assert abs((due - world.clock.now() - SOON).total_seconds()) < 60
    assert await subscribed(world) == [address_of(world).password]


def _set(directory: Path, name: str, table: str) -> Path:
    place = directory / name
    place.mkdir(parents=True)
    (place / "connection.yaml").write_text(CONNECTION.replace("name: test", f"name: {name}"), encoding="utf-8")
    (place / "person.yaml").write_text(PERSON.replace("app.people", table), encoding="utf-8")
    return place


def _daemon(world: Rig, key: str, directories: Sequence[Path]) -> Daemon:
    listen = Address("127.0.0.1", 0)
    account = Account(world.sandbox.url, world.sandbox.token)
    return Daemon(
        Options(world.dsn, listen, listen, key), [(load_directory(each), account) for each in directories], world.clock
    )


async def test_one_connection_under_another_key_stops_no_other(world: Rig, tmp_path: Path) -> None:
    """It is left out and the log says so; where no connection is left, the daemon ends with a sentence."""
    await world.stop()
    await world.db.execute("create table app.others (id bigint generated always as identity primary key, name text)")
    other = _set(tmp_path, "other", "app.others")
    wrong = _daemon(world, "wrong", [world.directory])
    with pytest.raises(SecretError, match="webhook:test cannot be read with CONNECTOR_SECRET_KEY") as said:
        await wrong.run()
    assert "CONNECTOR_SECRET_KEY_OLD" in said.value.advice
    both = _daemon(world, "wrong", [world.directory, other])
    await both.run(both.stop)
    assert set(both.running) == {"other"}
    assert await world.db.fetchval("select exists (select 1 from connector.set where connection = 'other')")


def test_shipped_sets_hold_no_secret() -> None:
    """References only."""
    for directory in (Path(__file__).resolve().parents[2] / "mappings").iterdir():
        if (directory / "connection.yaml").exists():
            assert load(directory).warnings == ()
