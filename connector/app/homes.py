"""A mapping keeps its links under its name: another table, object or key under the same name would inherit them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connector.core.errors import MappingSetError
from connector.core.mapping import MappingSet, MappingSpec, Problem
from connector.local.catalogue import describe
from connector.store import connections
from connector.store.connections import Home
from connector.store.db import Connection, Database


async def refuse_strangers(database: Database, spec: MappingSet) -> None:
    """MappingSetError with what `strangers` finds."""
    async with database.session() as db:
        problems = await strangers(db, spec)
    if problems:
        raise MappingSetError(tuple(problems))


async def strangers(db: Connection, spec: MappingSet) -> Sequence[Problem]:
    """A mistake for each mapping whose links are of other rows or records than its file names now.

    Where the old table is gone, it was renamed or moved to another schema, and its rows are still what the links say.
    """
    known = await connections.homes(db, spec.connection.name)
    changed = [(mapping, known[mapping.name]) for mapping in spec.mappings if _differs(mapping, known)]
    there = await describe(db, [(home.schema, home.table) for _, home in changed]) if changed else {}
    return [
        _problem(mapping, home)
        for mapping, home in changed
        if (mapping.object, mapping.key) != (home.object, home.key) or (home.schema, home.table) in there
    ]


def _differs(mapping: MappingSpec, known: Mapping[str, Home]) -> bool:
    now = Home(mapping.object, mapping.schema, mapping.table, mapping.key)
    return known.get(mapping.name, now) != now


def _problem(mapping: MappingSpec, home: Home) -> Problem:
    kept = f"{mapping.name!r} links {home.object} records to rows of {home.schema}.{home.table} by {home.key!r}"
    message = f"{kept} until now, and would take those links for its own; give the mapping another name"
    names = ("object", "table", "key")
    values = (mapping.object == home.object, (mapping.schema, mapping.table) == (home.schema, home.table), False)
    first = next(name for name, same in zip(names, values, strict=True) if not same)
    return Problem(mapping.keys.get(first, mapping.at), message)
