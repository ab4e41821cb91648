"""What the tests of adapters share."""

from __future__ import annotations

import pytest

from tests.crm.openapi import Specs, load


@pytest.fixture(scope="session")
def specs() -> Specs | None:
    """Pipedrive's published descriptions, None where they are not at hand."""
    return load()
