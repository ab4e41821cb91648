"""What is known of a connection: its state, the applied mapping set, metadata, sweeps, and what people asked for."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.core.mapping import MappingSpec
from connector.store.db import Connection, Fence
from connector.store.notes import dump


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """The state of one connection. `salt` keys the hashes of match keys and log keys."""

    connection: str
    state: str
    reason: str | None
    advice: str | None
    paused: bool
    sends_paused: bool
    salt: bytes
    metadata: str | None
    pins: str
    webhook_at: datetime | None


async def ensure(db: Connection, connection: str, crm: str) -> ConnectionRow:
    """The connection's row, made on first use."""
    await db.execute(
        "insert into connector.connection (connection, crm, salt) values ($1, $2, $3) on conflict do nothing",
        connection,
        crm,
        secrets.token_bytes(32),
    )
    return await get(db, connection)


async def known(db: Connection, connection: str) -> bool:
    """True once the connection was run."""
    query = "select exists (select from connector.connection where connection = $1)"
    return bool(await db.fetchval(query, connection))


async def get(db: Connection, connection: str) -> ConnectionRow:
    """The connection's row."""
    r = await db.fetchrow("select * from connector.connection where connection = $1", connection)
    if r is None:
        raise LookupError(connection)
    return ConnectionRow(
        r["connection"], r["state"], r["reason"], r["advice"], r["paused"], r["sends_paused"], bytes(r["salt"]),
        r["metadata"], r["pins"], r["last_webhook_at"],
    )  # fmt: skip


async def set_state(db: Connection, fence: Fence, state: str, reason: str | None, advice: str | None) -> None:
    """ok, or held with the reason and what a person should do."""
    await db.execute(
        "update connector.connection set state = $2, reason = $3, advice = $4 where connection = $1",
        fence.connection,
        state,
        reason,
        advice,
    )


async def save_metadata(
    db: Connection, connection: str, metadata: str, account: Mapping[str, Any], now: datetime
) -> None:
    """Keeps the CRM's definitions, so that a start does not need the CRM."""
    await db.execute(
        "update connector.connection set metadata = $2, account = $3, metadata_at = $4 where connection = $1",
        connection,
        metadata,
        dump(dict(account)),
        now,
    )


async def keep_metadata(db: Connection, connection: str, metadata: str, now: datetime) -> None:
    """Keeps the CRM's definitions as they are now."""
    await db.execute(
        "update connector.connection set metadata = $2, metadata_at = $3 where connection = $1",
        connection,
        metadata,
        now,
    )


async def pins(db: Connection, connection: str) -> str | None:
    """What the names of the mapping files stand for; None before the first run."""
    query = "select to_jsonb(c) ->> 'pins' from connector.connection c where connection = $1"  # older: no such column
    known: str | None = await db.fetchval(query, connection)
    return known


async def save_pins(db: Connection, connection: str, pins: str) -> None:
    """Keeps what the names of the mapping files stand for."""
    await db.execute("update connector.connection set pins = $2 where connection = $1", connection, pins)


async def save_webhook_time(db: Connection, connection: str, at: datetime) -> None:
    """Keeps when the last webhook came."""
    await db.execute("update connector.connection set last_webhook_at = $2 where connection = $1", connection, at)


async def save_webhook_trouble(db: Connection, connection: str, trouble: str | None) -> None:
    """Keeps what is wrong with the webhooks."""
    await db.execute("update connector.connection set webhook_trouble = $2 where connection = $1", connection, trouble)


async def save_credentials(db: Connection, connection: str, credentials: bytes) -> None:
    """Keeps the encrypted credentials, so that commands need only the database."""
    await db.execute("update connector.connection set credentials = $2 where connection = $1", connection, credentials)


async def credentials(db: Connection, connection: str) -> bytes | None:
    """The encrypted credentials; None before the first run."""
    sealed = await db.fetchval("select credentials from connector.connection where connection = $1", connection)
    return bytes(sealed) if sealed is not None else None


async def pause(db: Connection, connection: str, *, paused: bool, sends: bool = False) -> None:
    """Stops or resumes all work of a connection, or only its sends."""
    column = "sends_paused" if sends else "paused"
    await db.execute(f"update connector.connection set {column} = $2 where connection = $1", connection, paused)


async def pause_mapping(db: Connection, connection: str, mapping: str, *, paused: bool) -> None:
    """Stops or resumes the work of one mapping."""
    await db.execute(
        "update connector.mapping set paused = $3 where connection = $1 and mapping = $2", connection, mapping, paused
    )


async def save_set(
    db: Connection, connection: str, *, version: str, files: Mapping[str, str], directory: str, now: datetime
) -> None:
    """Keeps the applied mapping set."""
    await db.execute(
        """insert into connector.set (connection, version, files, directory, applied_at) values ($1, $2, $3, $4, $5)
           on conflict (connection) do update set version = excluded.version, files = excluded.files,
               directory = excluded.directory, applied_at = excluded.applied_at""",
        connection,
        version,
        dump(dict(files)),
        directory,
        now,
    )


async def applied_version(db: Connection, connection: str) -> str | None:
    """The version of the applied mapping set; None before the first."""
    version: str | None = await db.fetchval("select version from connector.set where connection = $1", connection)
    return version


async def sets(db: Connection) -> Sequence[tuple[str, Mapping[str, str], str]]:
    """All applied sets: (connection, files by name, directory)."""
    rows = await db.fetch("select connection, files, directory from connector.set order by connection")
    return [(row["connection"], json.loads(row["files"]), row["directory"]) for row in rows]


@dataclass(frozen=True, slots=True)
class Home:
    """What the links of a mapping are between: records of an object, and rows of a table by their key."""

    object: str
    schema: str
    table: str
    key: str


async def homes(db: Connection, connection: str) -> Mapping[str, Home]:
    """Mapping → what its links are between; but for mappings without links."""
    rows = await db.fetch(
        """select m.* from connector.mapping m where m.connection = $1 and exists
           (select from connector.link l where l.connection = m.connection and l.mapping = m.mapping)""",
        connection,
    )
    return {r["mapping"]: Home(r["object"], r["table_schema"], r["table_name"], r["key_column"]) for r in rows}


async def save_mappings(db: Connection, connection: str, mappings: Sequence[MappingSpec], now: datetime) -> None:
    """Registers mappings. A renamed file with the same table, object and key keeps its links, and so does one that left."""
    known = await db.fetch("select * from connector.mapping where connection = $1", connection)
    current = {m.name for m in mappings}
    for spec in mappings:
        old = next((r for r in known if _same(r, spec) and r["mapping"] not in current), None)
        if old is not None and spec.name not in {r["mapping"] for r in known}:
            await _rename(db, connection, old["mapping"], spec.name)
    await db.executemany(
        """insert into connector.mapping (connection, mapping, object, table_schema, table_name, key_column)
           values ($1, $2, $3, $4, $5, $6)
           on conflict (connection, mapping) do update set object = excluded.object,
               table_schema = excluded.table_schema, table_name = excluded.table_name, key_column = excluded.key_column,
               left_at = null""",
        [(connection, m.name, m.object, m.schema, m.table, m.key) for m in mappings],
    )
    await db.execute(
        """update connector.mapping set left_at = $3
           where connection = $1 and mapping <> all($2::text[]) and left_at is null""",
        connection,
        sorted(current),
        now,
    )


async def save_blocked(db: Connection, connection: str, mappings: Collection[str], why: str) -> None:
    """Says of these mappings, and of no others, that nothing of them is worked on for now."""
    await db.execute(
        """update connector.mapping set blocked = case when mapping = any($2::text[]) then $3 end
           where connection = $1 and blocked is distinct from case when mapping = any($2::text[]) then $3 end""",
        connection,
        sorted(mappings),
        why,
    )


def _same(row: Any, spec: MappingSpec) -> bool:  # noqa: ANN401
    kept = (row["object"], row["table_schema"], row["table_name"], row["key_column"])
    return bool(kept == (spec.object, spec.schema, spec.table, spec.key))


async def _rename(db: Connection, connection: str, old: str, new: str) -> None:
    for table in ("mapping", "link", "change", "capture", "brake", "brake_count"):
        await db.execute(
            f"update connector.{table} set mapping = $3 where connection = $1 and mapping = $2", connection, old, new
        )


async def fetched(db: Connection, connection: str) -> Mapping[str, bool]:
    """Mapping → its first fetch-all is complete."""
    rows = await db.fetch("select mapping, fetched_all_at from connector.mapping where connection = $1", connection)
    return {row["mapping"]: row["fetched_all_at"] is not None for row in rows}


async def set_fetched(db: Connection, connection: str, mappings: Sequence[str], now: datetime) -> None:
    """Notes that mappings had their fetch-all: from now on they also send."""
    await db.execute(
        "update connector.mapping set fetched_all_at = $3 where connection = $1 and mapping = any($2::text[])",
        connection,
        list(mappings),
        now,
    )


async def paused_mappings(db: Connection, connection: str) -> frozenset[str]:
    """Mappings that a person paused."""
    rows = await db.fetch("select mapping from connector.mapping where connection = $1 and paused", connection)
    return frozenset(row["mapping"] for row in rows)


@dataclass(frozen=True, slots=True)
class Request:
    """Something a person asked the owner to do."""

    id: int
    kind: str
    args: Mapping[str, Any]


async def ask(db: Connection, connection: str, kind: str, args: Mapping[str, Any], now: datetime) -> int:
    """Queues a request; its id."""
    return int(
        await db.fetchval(
            "insert into connector.request (connection, kind, args, asked_at) values ($1, $2, $3, $4) returning id",
            connection,
            kind,
            dump(dict(args)),
            now,
        )
    )


async def next_requests(db: Connection, connection: str) -> Sequence[Request]:
    """Requests not yet taken up, and those a former owner left running."""
    rows = await db.fetch(
        """update connector.request set state = 'running'
           where id in (select id from connector.request where connection = $1 and state = 'queued' order by id limit 20)
           returning id, kind, args""",
        connection,
    )
    return [Request(row["id"], row["kind"], json.loads(row["args"])) for row in sorted(rows, key=lambda r: r["id"])]


async def requeue(db: Connection, connection: str) -> None:
    """A new owner takes up what the former one left running."""
    await db.execute(
        "update connector.request set state = 'queued' where connection = $1 and state = 'running'", connection
    )


async def progress(db: Connection, request: int, report: Mapping[str, Any]) -> None:
    """Tells how far a request is."""
    await db.execute("update connector.request set progress = $2 where id = $1", request, dump(dict(report)))


async def answer(db: Connection, request: int, result: Mapping[str, Any], now: datetime, *, failed: bool) -> None:
    """Ends a request."""
    await db.execute(
        "update connector.request set state = $2, result = $3, finished_at = $4 where id = $1",
        request,
        "failed" if failed else "done",
        dump(dict(result)),
        now,
    )


async def forget_requests(db: Connection, connection: str, before: datetime) -> None:
    """Removes requests that ended before this time."""
    await db.execute(
        "delete from connector.request where connection = $1 and state in ('done', 'failed') and finished_at < $2",
        connection,
        before,
    )
