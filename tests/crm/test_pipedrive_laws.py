"""The laws of the port over the Pipedrive adapter, for every object, each request checked against the published API."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.crm.conformance import Laws
from tests.crm.openapi import Specs, watch
from tests.crm.sandboxed import TEXTS, PipedriveSubject, account


class TestPipedrive(Laws):
    """Every law over every object."""

    @pytest.fixture(params=sorted(TEXTS))
    async def subject(
        self, request: pytest.FixtureRequest, specs: Specs | None, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[PipedriveSubject]:
        """An account of its own for each test."""
        async with account() as one:
            one.object = request.param
            complaints = watch(one.sandbox, specs, monkeypatch)
            yield one
            assert complaints == []
