"""Webhook deliveries as somebody would send them who knows the password and means ill, or has lost his mind."""

from __future__ import annotations

import base64
import json
from random import Random
from typing import Any

from aiohttp import ClientSession

from connector.engine.rotation import Address


def body(key: object = "1", *, entity: object = "person", action: object = "change", **more: Any) -> bytes:
    """A delivery; `data` and `previous` are its states, everything else goes into `meta`."""
    states = {"data": more.pop("data", None), "previous": more.pop("previous", None)}
    meta = {"entity": entity, "action": action, "entity_id": key, "id": "e", "timestamp": "2026-11-21T17:00:00Z"}
    return json.dumps({"meta": {**meta, **more}, **states}).encode()


def noise(length: int) -> str:
    """Text that cannot be compressed, else an index takes almost any length."""
    return base64.b64encode(Random(length).randbytes(length)).decode()


async def deliver(http: ClientSession, address: Address, sent: bytes) -> int:
    """The status of an authenticated delivery."""
    token = base64.b64encode(f"{address.user}:{address.password}".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    async with http.post(address.url, data=sent, headers=headers) as response:
        return response.status
