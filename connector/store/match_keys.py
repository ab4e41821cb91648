"""Keyed hashes of the match keys of all records of an object, so that matching costs no search of the CRM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connector.core.model import CrmId, LinkId
from connector.store.db import Connection
from connector.store.links import FREE_RECORD


async def replace(db: Connection, connection: str, name: str, keys: Mapping[CrmId, Sequence[bytes]]) -> None:
    """Makes the given records have exactly these keys."""
    if not keys:
        return
    pairs = sorted((hash_, crm_id) for crm_id, hashes in keys.items() for hash_ in set(hashes))
    hashes, ids = [hash_ for hash_, _ in pairs], [crm_id for _, crm_id in pairs]
    await db.execute(
        """delete from connector.match_key k where connection = $1 and object = $2 and crm_id = any($3::text[])
           and not exists (select 1 from unnest($4::bytea[], $5::text[]) n(hash, crm_id)
                           where n.hash = k.hash and n.crm_id = k.crm_id)""",
        connection,
        name,
        sorted(keys),
        hashes,
        ids,
    )
    await db.execute(
        """insert into connector.match_key (connection, hash, object, crm_id)
           select $1, n.hash, $2, n.crm_id from unnest($3::bytea[], $4::text[]) n(hash, crm_id)
           on conflict do nothing""",
        connection,
        name,
        hashes,
        ids,
    )


async def remove(db: Connection, connection: str, name: str, ids: Sequence[CrmId]) -> None:
    """Forgets the keys of records that are gone."""
    await db.execute(
        "delete from connector.match_key where connection = $1 and object = $2 and crm_id = any($3::text[])",
        connection,
        name,
        list(ids),
    )


async def find(
    db: Connection, connection: str, name: str, hashes: Sequence[bytes]
) -> Mapping[bytes, Sequence[tuple[CrmId, LinkId | None]]]:
    """Records by key: (CRM id, the link by which it belongs to a row that lives)."""
    rows = await db.fetch(
        f"""select k.hash, k.crm_id, case when not {FREE_RECORD} then h.id end as owner
           from connector.match_key k
           left join connector.link h on h.connection = k.connection and h.object = k.object and h.crm_id = k.crm_id
             and not h.released
           where k.connection = $1 and k.object = $2 and k.hash = any($3::bytea[]) order by k.crm_id""",
        connection,
        name,
        list(hashes),
    )
    found: dict[bytes, list[tuple[CrmId, LinkId | None]]] = {}
    for row in rows:
        found.setdefault(bytes(row["hash"]), []).append((CrmId(row["crm_id"]), row["owner"]))
    return found
