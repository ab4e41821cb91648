"""Versions side by side: what a newer one has added hurts nobody, what it has changed stops the older ones."""

from __future__ import annotations

import pytest

from connector.core.errors import ConnectorError
from connector.store.db import Database, migrate

NEWER = "insert into connector.migration (number, name, digest, breaks) values (9999, '9999_newer.sql', '', $1)"


@pytest.mark.parametrize("breaks", [False, True])
async def test_a_migration_of_a_newer_version(database: str, *, breaks: bool) -> None:
    """One that only adds leaves an older version at work; one that breaks it is named, and nothing is touched.

    Fails when a version works on whatever schema it finds.
    """
    pool = await Database.connect(database)
    try:
        await migrate(pool)
        async with pool.session() as db:
            await db.execute(NEWER, breaks)
        if not breaks:
            assert await migrate(pool) == []
            return
        with pytest.raises(ConnectorError, match="9999_newer") as raised:
            await migrate(pool)
        assert raised.value.advice
    finally:
        await pool.close()
