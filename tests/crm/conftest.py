"""What the tests of adapters share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.crm.openapi import Specs, load, watch
from tests.crm.sandboxed import PipedriveSubject, account


@pytest.fixture(scope="session")
def specs() -> Specs | None:
    """Pipedrive's published descriptions, None where they are not at hand."""
    return load()


@pytest.fixture
async def crm(specs: Specs | None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PipedriveSubject]:
    """A sandboxed account; every request is held against the published API."""
    async with account() as one:
        complaints = watch(one.sandbox, specs, monkeypatch)
        yield one
        assert complaints == []
