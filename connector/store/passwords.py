"""Webhook passwords, encrypted. The newest is the one to subscribe with; older ones are valid until their end."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.store.cipher import Cipher
from connector.store.db import Connection

AGE = timedelta(days=90)
"""After so long another takes its place."""


@dataclass(frozen=True, slots=True)
class Password:
    """One of a connection. `ends_at` None: no end is set."""

    number: int
    sealed: bytes
    made_at: datetime
    due_at: datetime
    ends_at: datetime | None

    def read(self, cipher: Cipher, connection: str) -> str:
        """The password itself; SecretError when no key fits."""
        return cipher.decrypt(self.sealed, secret_name(connection))


def secret_name(connection: str) -> str:
    """What the secret is called where it is encrypted."""
    return f"webhook:{connection}"


async def first(db: Connection, cipher: Cipher, connection: str, now: datetime) -> None:
    """Makes one where there is none; of two who do so at once, one succeeds."""
    await _insert(db, cipher, connection, 1, now)


async def add(db: Connection, cipher: Cipher, connection: str, after: int, now: datetime) -> None:
    """Makes the one that shall take the place of number `after`."""
    await _insert(db, cipher, connection, after + 1, now)


async def _insert(db: Connection, cipher: Cipher, connection: str, number: int, now: datetime) -> None:
    await db.execute(
        """insert into connector.webhook_password (connection, number, sealed, made_at, due_at)
           select $1, $2, $3, $4, $5
           where not exists (select 1 from connector.webhook_password where connection = $1 and number >= $2)
           on conflict do nothing""",
        connection,
        number,
        cipher.encrypt(secrets.token_urlsafe(24), secret_name(connection)),
        now,
        now + AGE,
    )


async def valid(db: Connection, connections: Sequence[str], now: datetime) -> Mapping[str, Sequence[Password]]:
    """By connection, those under which deliveries are taken, newest first."""
    rows = await db.fetch(
        """select * from connector.webhook_password
           where connection = any($1::text[]) and (ends_at is null or ends_at > $2) order by connection, number desc""",
        list(connections),
        now,
    )
    found: dict[str, list[Password]] = {name: [] for name in connections}
    for r in rows:
        made = Password(r["number"], bytes(r["sealed"]), r["made_at"], r["due_at"], r["ends_at"])
        found[r["connection"]].append(made)
    return found


async def end_others(db: Connection, connection: str, number: int, ends_at: datetime) -> bool:
    """Sets an end to those older than `number`; False when they have one."""
    done = await db.execute(
        """update connector.webhook_password set ends_at = $3
           where connection = $1 and number < $2 and ends_at is null""",
        connection,
        number,
        ends_at,
    )
    return bool(done != "UPDATE 0")


async def forget(db: Connection, connection: str, now: datetime) -> None:
    """Removes those that are over."""
    await db.execute("delete from connector.webhook_password where connection = $1 and ends_at <= $2", connection, now)
