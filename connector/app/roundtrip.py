"""The way back to us: what our public address says to the credentials that the CRM would show."""

from __future__ import annotations

import aiohttp

PATIENCE = aiohttp.ClientTimeout(total=10)
"""As long as the CRM itself waits."""


async def answer_of(address: str, user: str, password: str) -> str:
    """The status of an authenticated question, or in a word why there is none. Redirects are not followed, as by the CRM."""
    try:
        async with (
            aiohttp.ClientSession(timeout=PATIENCE, auth=aiohttp.BasicAuth(user, password, "utf-8")) as http,
            http.get(address, allow_redirects=False) as response,
        ):
            return str(response.status)
    except aiohttp.ClientSSLError:
        return "the certificate is not valid"
    except aiohttp.ClientConnectionError:
        return "no connection"
    except (TimeoutError, aiohttp.ClientError):
        return "no answer"
