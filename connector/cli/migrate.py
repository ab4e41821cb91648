"""``connector migrate``: the database made ready, without starting anything."""

from __future__ import annotations

from collections.abc import Sequence

from connector.app.commands import Desk, connected, opened
from connector.app.preparation import prepare
from connector.cli.place import AsJson, Data, Place, place_of, run
from connector.cli.talk import guarded, note, say_json
from connector.store.db import migrate as apply


def migrate(data: Data = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Create or update schema `connector` and the capture triggers of the applied mapping sets.

    `connector run` does the same unless told --no-migrate.

    Example: DATABASE_URL=postgresql://… connector migrate
    """
    guarded(lambda: run(_migrate(place_of(data), as_json=as_json)))


async def _migrate(place: Place, *, as_json: bool) -> None:
    applied = await _schema(place)
    async with opened(place.database_url, place.secret_key, place.secret_key_old) as desk:
        prepared = await _triggers(desk)
    if as_json:
        say_json({"applied": applied, "triggers": prepared})
        return
    note(f"schema connector: {', '.join(applied) if applied else 'up to date'}")
    for connection, outcome in prepared.items():
        note(f"{connection}: {outcome}")
    if not prepared:
        note("no mapping set is applied yet; its triggers are made by: connector run DIR")


async def _schema(place: Place) -> Sequence[str]:
    database = await connected(place.database_url)
    try:
        return await apply(database)
    finally:
        await database.close()


async def _triggers(desk: Desk) -> dict[str, str]:
    """Connection → what became of its triggers."""
    return {name: await prepare(desk, name) for name in desk.sets}
