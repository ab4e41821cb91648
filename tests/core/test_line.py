"""What a line refers to, and what its rule says of its returns."""

from __future__ import annotations

import pytest

from connector.core.line import Refs, UnresolvedError, digest, returns
from connector.core.model import AppKey, CrmId

REFS = Refs({("company", AppKey("5")): CrmId("12")}, {("company", CrmId("12")): AppKey("5")})


def test_references() -> None:
    """Each half finds the other one, in its own mapping only."""
    assert (REFS.crm_id("company", AppKey("5")), REFS.app_key("company", CrmId("12"))) == ("12", "5")
    with pytest.raises(UnresolvedError) as error:
        REFS.crm_id("client", AppKey("5"))
    assert str(error.value) == "client"


def test_a_half_that_is_not_known_yet() -> None:
    """The error names the mapping and the half that is known."""
    with pytest.raises(UnresolvedError) as of_row:
        REFS.crm_id("company", AppKey("6"))
    assert (of_row.value.mapping, of_row.value.app_key, of_row.value.crm_id) == ("company", "6", None)
    with pytest.raises(UnresolvedError) as of_record:
        REFS.app_key("company", CrmId("13"))
    assert (of_record.value.mapping, of_record.value.app_key, of_record.value.crm_id) == ("company", None, "13")


def test_rules() -> None:
    """The number of returns stands behind the digest; a rule without one has never returned."""
    assert (digest("abc"), returns("abc")) == ("abc", 0)
    assert (digest("abc~12"), returns("abc~12")) == ("abc", 12)
