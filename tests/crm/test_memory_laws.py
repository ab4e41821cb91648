"""The laws of the port over a CRM that is Pipedrive's opposite."""

from __future__ import annotations

import pytest

from connector.ports import CRM
from tests.crm.conformance import Laws
from tests.crm.memory import MemoryCRM, MemorySubject, World, fresh


class TestMemory(Laws):
    """Every law."""

    @pytest.fixture
    def subject(self) -> MemorySubject:
        """An empty CRM for each test."""
        return fresh()


def test_it_is_a_crm() -> None:
    """The type checker agrees that the tiny adapter has the whole port."""
    crm: CRM = MemoryCRM(World())
    assert crm.capabilities("account").write_batch == 200
