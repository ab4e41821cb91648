"""The way back to us: what our public address says to a delivery under the credentials that the CRM shows."""

from __future__ import annotations

import base64

import aiohttp

from connector.service.webhooks import CHECK

PATIENCE = aiohttp.ClientTimeout(total=10)
"""As long as the CRM itself waits."""


async def answer_of(address: str, user: str, password: str) -> str:
    """The status of an empty delivery, or in a word why there is none. Redirects are not followed, as by the CRM."""
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {token}", CHECK: "1"}
    try:
        async with (
            aiohttp.ClientSession(timeout=PATIENCE, headers=headers) as http,
            http.post(address, json={}, allow_redirects=False) as response,
        ):
            return str(response.status)
    except aiohttp.ClientSSLError:
        return "the certificate is not valid"
    except aiohttp.ClientConnectionError:
        return "no connection"
    except (TimeoutError, aiohttp.ClientError):
        return "no answer"
