"""Arrays that several lines share: neighbours stay, and lines compose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.model import ABSENT
from connector.core.schema import FieldType as T
from tests.core.converters import METADATA, REFS, field, one

if TYPE_CHECKING:
    from connector.core.model import Json

WORK: Json = {"value": "a@x.test", "label": "work", "primary": True}
HOME: Json = {"value": "b@x.test", "label": "home", "primary": False}
PRIMARY = one("text", T.EMAILS)
LIST = one("text[]", T.EMAILS)
addresses = st.sampled_from(["a@x.test", "b@x.test", "c@x.test", "d@x.test"])
arrays = st.lists(addresses, unique=True).flatmap(
    lambda values: st.integers(0, max(len(values) - 1, 0)).map(
        lambda first: [{"value": v, "label": f"l{v}", "primary": at == first} for at, v in enumerate(values)]
    )
)


@pytest.mark.parametrize(
    ("crm", "written"),
    [
        ("c@x.test", [{"value": "c@x.test", "label": "work", "primary": True}, HOME]),
        (
            "b@x.test",
            [
                {"value": "b@x.test", "label": "home", "primary": True},
                {"value": "a@x.test", "label": "work", "primary": False},
            ],
        ),
        ("A@x.test", [{"value": "A@x.test", "label": "work", "primary": True}, HOME]),
        (None, [{"value": "b@x.test", "label": "home", "primary": True}]),
    ],
)
def test_primary_is_replaced_promoted_or_removed(crm: Json, written: Json) -> None:
    """A new value takes the primary's place and label; one that is there is promoted; null promotes the next."""
    assert PRIMARY.write_crm(crm, {"f": [WORK, HOME]}) == {"f": written}


def test_primary_of_an_empty_array() -> None:
    """The first value of a record becomes a primary with the CRM's default label; the last one removed leaves []."""
    assert PRIMARY.write_crm("a@x.test", {}) == {"f": [WORK]}
    assert PRIMARY.write_crm(None, {"f": [WORK]}) == {"f": []}
    assert PRIMARY.read_crm({"f": [{"value": "", "primary": True}]}) is None
    assert PRIMARY.read_crm({}) is ABSENT
    assert PRIMARY.to_crm("  ", REFS) is None


def test_list_keeps_labels_of_what_stays() -> None:
    """Values that stay keep label and primacy, new ones get the default label, others go."""
    assert LIST.write_crm(["c@x.test", "a@x.test"], {"f": [WORK, HOME]}) == {
        "f": [WORK, {"value": "c@x.test", "label": "work", "primary": False}]
    }
    assert LIST.write_crm(["b@x.test"], {"f": [WORK, HOME]}) == {"f": [{**HOME, "primary": True}]}  # type: ignore[dict-item]
    assert LIST.write_crm(None, {"f": [WORK]}) == {"f": []}


def test_lines_on_one_array_compose() -> None:
    """A line starts from the array that another has already changed."""
    first = PRIMARY.write_crm("c@x.test", {"f": [WORK, HOME]})
    second = LIST.write_crm(["c@x.test", "b@x.test", "d@x.test"], first)
    assert PRIMARY.read_crm(second) == "c@x.test"
    assert LIST.read_crm(second) == ["c@x.test", "b@x.test", "d@x.test"]


@given(arrays, addresses | st.none())
def test_writing_the_primary_loses_no_neighbour(array: list[Json], crm: str | None) -> None:
    """After a write the primary reads as written, one is primary, nothing is double, every other value stays."""
    before = [item["value"] for item in array if isinstance(item, dict)]
    written = PRIMARY.write_crm(crm, {"f": array})
    after = LIST.read_crm(written) or []
    assert isinstance(after, list)
    if crm is not None:
        assert PRIMARY.read_crm(written) == crm
    assert len(after) == len({str(value) for value in after})
    old = PRIMARY.read_crm({"f": array})
    assert {str(value) for value in before} - {str(old)} <= {str(value) for value in after}
    items = written["f"]
    assert isinstance(items, list)
    assert sum(1 for item in items if isinstance(item, dict) and item["primary"]) == min(len(items), 1)


@given(arrays, st.lists(addresses, unique=True))
def test_writing_the_list_makes_it_so(array: list[Json], crm: list[str]) -> None:
    """After a write the array has exactly these values, and the primary stays if it is among them."""
    written = LIST.write_crm([*crm], {"f": array})
    after = LIST.read_crm(written) or []
    assert isinstance(after, list)
    assert {str(value) for value in after} == set(crm)
    old = PRIMARY.read_crm({"f": array})
    if old in crm:
        assert PRIMARY.read_crm(written) == old


def test_one_label_among_others() -> None:
    """A label line with `values:` reads and replaces only its own labels."""
    made = one("text", field(T.SET, custom=False), values={"g": "Gold", "s": "Silver"})
    assert made.read_crm({"f": [33, 32]}) == "32"
    assert made.write_crm("31", {"f": [33, 32]}) == {"f": ["33", "31"]}
    assert made.write_crm(None, {"f": [33, 32]}) == {"f": ["33"]}
    assert made.write_crm("31", {"f": None}) == {"f": ["31"]}
    assert made.write_crm("31", {"f": [33, 34]}) == {"f": ["31", "33", "34"]}
    assert made.read_crm({}) is ABSENT
    free = one("text", field(T.SET, custom=False))
    assert free.write_crm("31", {"f": ""}) == {"f": ["31"]}
    assert free.read_crm({"f": [33, 32]}) == "33"
    assert free.to_app("33", REFS) == "Straße"
    assert METADATA.users


def test_address_text_and_parts() -> None:
    """A text line reads the text and writes it alone; a json line reads and writes all filled parts."""
    parts: dict[str, Json] = {"value": "1 Road", "locality": "Town", "route": None}
    text, whole = one("text", T.ADDRESS), one("jsonb", T.ADDRESS)
    assert text.read_crm({"f": parts}) == text.read_crm({"f": "1 Road"}) == "1 Road"
    assert text.write_crm("2 Road", {"f": parts}) == {"f": {"value": "2 Road"}}
    assert text.write_crm(None, {"f": parts}) == {"f": None}
    assert whole.read_crm({"f": parts}) == {"value": "1 Road", "locality": "Town"}
    assert whole.write_crm(whole.read_crm({"f": parts}), {}) == {"f": {"value": "1 Road", "locality": "Town"}}  # type: ignore[arg-type]
