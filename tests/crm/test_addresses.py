"""What an admin may paste as the address of an account."""

from __future__ import annotations

import pytest

from connector.core.model import CrmId
from connector.crm.pipedrive.urls import addresses

GENERIC = ("https://api.pipedrive.com/v1", "https://api.pipedrive.com/api/v2")
ACME = ("https://acme.pipedrive.com/api/v1", "https://acme.pipedrive.com/api/v2")


@pytest.mark.parametrize(
    ("pasted", "bases"),
    [
        (None, GENERIC),
        ("", GENERIC),
        ("https://api.pipedrive.com", GENERIC),
        ("https://api.pipedrive.com/v1/", GENERIC),
        ("api.pipedrive.com", GENERIC),
        ("https://app.pipedrive.com/deals", GENERIC),
        ("acme", ACME),
        (" acme ", ACME),
        ("acme.pipedrive.com", ACME),
        ("https://acme.pipedrive.com", ACME),
        ("https://acme.pipedrive.com/v1", ACME),
        ("https://acme.pipedrive.com/api/v2/", ACME),
        ("http://acme.pipedrive.com/pipeline/1/user/everyone?x=1#y", ACME),
        ("https://ACME.Pipedrive.com", ACME),
        ("http://127.0.0.1:8081", ("http://127.0.0.1:8081/api/v1", "http://127.0.0.1:8081/api/v2")),
        ("http://localhost:8081/api/v2", ("http://localhost:8081/api/v1", "http://localhost:8081/api/v2")),
        ("http://[::1]:8081/", ("http://[::1]:8081/api/v1", "http://[::1]:8081/api/v2")),
        ("https://crm.test/emulator/v1", ("https://crm.test/emulator/api/v1", "https://crm.test/emulator/api/v2")),
    ],
)
def test_every_form_is_understood(pasted: str | None, bases: tuple[str, str]) -> None:
    """Nothing, a company, any address of Pipedrive, an emulator's: the bases of both versions."""
    found = addresses(pasted)
    assert (found.v1, found.v2) == bases


@pytest.mark.parametrize("pasted", ["ftp://acme.pipedrive.com", "https://", "https://user:secret@crm.test", "a b c"])
def test_anything_else_is_refused_without_repeating_it(pasted: str) -> None:
    """An address may hold a password: the complaint does not quote it."""
    with pytest.raises(ValueError, match="not an address of Pipedrive") as caught:
        addresses(pasted)
    assert "secret" not in str(caught.value)


def test_links_lead_to_the_company() -> None:
    """Pages are the company's own as soon as it is known; an emulator keeps its own."""
    assert addresses("acme").page("person", CrmId("7")) == "https://acme.pipedrive.com/person/7"
    assert addresses(None).page("deal", CrmId("7")) == "https://app.pipedrive.com/deal/7"
    assert addresses(None).of_company("acme").page("deal", CrmId("7")) == "https://acme.pipedrive.com/deal/7"
    assert addresses("http://127.0.0.1:1").of_company("acme").web == "http://127.0.0.1:1"
