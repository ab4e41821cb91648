"""When each field of a record last changed, by its changelog (REFERENCE §7.7)."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from connector.core.errors import ForbiddenError
from connector.core.model import CrmId, Lane
from connector.crm.errors import GONE
from connector.crm.pipedrive.client import Call, Client
from connector.crm.pipedrive.kinds import Endpoint
from connector.crm.pipedrive.spellings import parse

LIMIT: Final = 500
_RENAMED: Final = {"phone": "phones", "email": "emails", "label": "label_ids", "user_id": "owner_id"}
"""Key in a changelog of API v1 → key of records."""


async def last_changes(client: Client, called: Endpoint, key: CrmId, lane: Lane) -> Mapping[str, datetime]:
    """Field key → time of its newest change (the CRM's clock), from the newest page; nothing where we may not see it."""
    found: dict[str, datetime] = {}
    with contextlib.suppress(ForbiddenError):
        reply = await client.call(Call(called, lane, id=key, params={"limit": str(LIMIT)}, expected=GONE))
        for row in reply.rows:
            name, at = str(row.get("field_key")), parse(row.get("time"))
            name = _RENAMED.get(name, name)
            if at is not None and (name not in found or found[name] < at):
                found[name] = at
    return found
