"""Whatever stands in the files, the loader answers with a set or with problems that have a place."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from connector.config.loader import parse_set
from connector.core.errors import MappingSetError
from connector.core.mapping import MappingSet, Problem
from tests.config.files import CONNECTION, FIELDS, HEAD

_WORDS = [
    "object",
    "table",
    "key",
    "direction",
    "fields",
    "column",
    "crm",
    "as",
    "values",
    "link",
    "only",
    "receive",
    "send",
    "set",
    "match",
    "deletes",
    "backfill",
    "since",
    "name",
    "person",
    "app.contacts",
    "both",
    "none",
    "now",
    "null",
    "{{x}}",
    "{%if%}",
    "present",
    "absent",
    "not",
    "from",
    "to",
    "in",
    "brake",
    "records",
    "percent",
    "credentials",
    "api_token",
    "env:X",
    "sweep",
    "auto",
    "3s",
    "budget",
    "20%",
    "identity_field",
    "webhooks",
    "off",
    "all",
    "{{",
    "history",
    "keep",
]
_SCALARS = (
    st.sampled_from(_WORDS) | st.text(max_size=8) | st.integers() | st.floats() | st.booleans() | st.none() | st.dates()
)
_VALUES: SearchStrategy[object] = st.recursive(
    _SCALARS.map(lambda value: value if isinstance(value, str | int | float | bool | None) else str(value)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_WORDS) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=20,
)
_MARKS = st.text(alphabet=list("{}[]:,-?&*!|>'\"%@`#~ \n\tabc01.<=\\\x85\u2028\ufeff\0"), max_size=80)


def _load(connection: str, mapping: str) -> MappingSet | None:
    try:
        return parse_set({"connection.yaml": connection, "a.yaml": mapping}, name="acme").set
    except MappingSetError as error:
        _check(error.problems)
        return None


def _check(problems: tuple[Problem, ...]) -> None:
    assert problems
    assert all(problem.at.line >= 1 and problem.at.column >= 1 and problem.message for problem in problems)


@given(_VALUES, _VALUES)
def test_any_structure_gives_a_set_or_problems(connection: object, mapping: object) -> None:
    """JSON is YAML."""
    _load(json.dumps(connection), json.dumps(mapping))


@given(st.text(max_size=200) | _MARKS, st.text(max_size=200) | _MARKS)
def test_any_text_gives_a_set_or_problems(connection: str, mapping: str) -> None:
    """Broken YAML too."""
    _load(connection, mapping)
    _load(CONNECTION, HEAD + mapping + FIELDS)


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(_WORDS), _VALUES, max_size=4))
def test_any_addition_to_a_valid_mapping_gives_a_set_or_problems(more: dict[str, object]) -> None:
    """Near the grammar, where readers go deepest."""
    base: dict[str, object] = {"object": "person", "table": "a.b", "key": "id", "direction": "both"}
    _load(CONNECTION, json.dumps({**base, "fields": [{"column": "a", "crm": "b"}], **more}))
    _load(CONNECTION, json.dumps({**base, "fields": [{"column": "a", "crm": "b", **more}]}))
    _load(
        CONNECTION,
        json.dumps({**base, "fields": [{"column": "a", "crm": "b"}], "only": {"receive": more}, "set": {"crm": more}}),
    )


def test_a_file_nested_too_deeply_is_a_problem() -> None:
    """Ten thousand brackets."""
    assert _load(CONNECTION, "[" * 10_000) is None


def test_an_alias_of_itself_ends() -> None:
    """A cycle in the nodes cannot hang the loader."""
    assert _load(CONNECTION, HEAD + "fields: &a [*a]\n") is None
    assert _load(CONNECTION, HEAD + FIELDS + "only: &o {receive: *o}\n") is None
