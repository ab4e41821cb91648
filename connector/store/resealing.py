"""The rotation of the secret key: whatever is stored under the old one is stored anew under the key in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connector.store.cipher import Cipher, SecretError
from connector.store.db import Connection
from connector.store.passwords import secret_name

SOON = timedelta(hours=1)
"""A password that the old key protected is replaced: not before every replica has been started with the new key."""


@dataclass(slots=True)
class Resealed:
    """How many secrets were stored anew, and the connections that have one which no key opens."""

    count: int = 0
    closed: set[str] = field(default_factory=set)


async def reseal(db: Connection, cipher: Cipher, now: datetime) -> Resealed:
    """Any number may do it at once; afterwards the old key may be forgotten, but for what is `closed`."""
    found = Resealed()
    for connection, sealed in await _accounts(db):
        renewed = _renewed(cipher, found, connection, sealed, account_name(connection))
        if renewed is not None:
            await db.execute(
                "update connector.connection set credentials = $2 where connection = $1 and credentials = $3",
                connection,
                renewed,
                sealed,
            )
    for connection, number, sealed in await _passwords(db):
        renewed = _renewed(cipher, found, connection, sealed, secret_name(connection))
        if renewed is not None:
            await db.execute(
                """update connector.webhook_password set sealed = $3, due_at = least(due_at, $4)
                   where connection = $1 and number = $2""",
                connection,
                number,
                renewed,
                now + SOON,
            )
    return found


def account_name(connection: str) -> str:
    """What the account is called where it is encrypted."""
    return f"account:{connection}"


def _renewed(cipher: Cipher, found: Resealed, connection: str, sealed: bytes, name: str) -> bytes | None:
    try:
        renewed = cipher.renew(sealed, name)
    except SecretError:
        found.closed.add(connection)
        return None
    found.count += renewed is not None
    return renewed


async def _accounts(db: Connection) -> Sequence[tuple[str, bytes]]:
    rows = await db.fetch(
        "select connection, credentials from connector.connection where credentials is not null order by 1 for update"
    )
    return [(row["connection"], bytes(row["credentials"])) for row in rows]


async def _passwords(db: Connection) -> Sequence[tuple[str, int, bytes]]:
    rows = await db.fetch("select connection, number, sealed from connector.webhook_password order by 1, 2 for update")
    return [(row["connection"], row["number"], bytes(row["sealed"])) for row in rows]
