"""Where the API answers and where people look (REFERENCE §1: core-api-concepts-requests; `servers` of both specs)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import SplitResult, urlsplit

from connector.core.model import CrmId

DOMAIN: Final = "pipedrive.com"
GENERIC: Final = f"https://api.{DOMAIN}"
NOT_COMPANIES: Final = ("api", "app", "www", "oauth", "developers", "api-proxy")
_BARE: Final = re.compile(r"[a-z0-9][a-z0-9-]*", re.IGNORECASE)
_HOST: Final = re.compile(r"[\w.:-]+")
_API_PATH: Final = re.compile(r"(?:/(?:api/)?v[12]|/api)?/*$")
_PAGES: Final = {
    "person": "person",
    "organization": "organization",
    "deal": "deal",
    "lead": "leads/inbox",
    "activity": "activities",
    "note": "notes",
    "product": "product",
}


@dataclass(frozen=True, slots=True)
class Addresses:
    """The bases of both API versions, and of the web application. None have a slash at the end."""

    v1: str
    v2: str
    web: str
    company: str | None = None

    def of_company(self, company: str) -> Addresses:
        """The same, for people of this company; an emulator stays where it is."""
        if not self.web.endswith(f".{DOMAIN}"):
            return self
        return Addresses(self.v1, self.v2, f"https://{company}.{DOMAIN}", company)

    def elsewhere(self) -> Addresses:
        """The same with v1 at its other official address: with or without `/api`."""
        short, long = f"{self.v2.removesuffix('/api/v2')}/v1", f"{self.v2.removesuffix('v2')}v1"
        return replace(self, v1=short if self.v1 == long else long)

    def page(self, name: str, crm_id: CrmId) -> str:
        """Where a person opens the record."""
        return f"{self.web}/{_PAGES.get(name, name)}/{crm_id}"


def addresses(url: str | None) -> Addresses:
    """The bases behind what an admin pasted: nothing, a company's name, any address of Pipedrive, an emulator's.

    ValueError when it is none of these; the text never repeats the address.
    """
    text = (url or GENERIC).strip()
    if _BARE.fullmatch(text) and text != "localhost":
        text = f"https://{text}.{DOMAIN}"
    parts = urlsplit(text if "://" in text else f"https://{text}")
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.hostname or "") or "@" in parts.netloc:
        raise ValueError("not an address of Pipedrive: give https://COMPANY.pipedrive.com, or the company's name alone")
    host = parts.hostname or ""
    if host == DOMAIN or host.endswith(f".{DOMAIN}"):
        return _pipedrive(host.removesuffix(DOMAIN).rstrip("."))
    return _emulator(parts)


def _pipedrive(sub: str) -> Addresses:
    if sub in NOT_COMPANIES or not sub:
        return Addresses(f"{GENERIC}/v1", f"{GENERIC}/api/v2", f"https://app.{DOMAIN}")
    base = f"https://{sub}.{DOMAIN}"
    return Addresses(f"{base}/api/v1", f"{base}/api/v2", base, sub)


def _emulator(parts: SplitResult) -> Addresses:
    base = f"{parts.scheme}://{parts.netloc}{_API_PATH.sub('', parts.path)}"
    return Addresses(f"{base}/api/v1", f"{base}/api/v2", base)
