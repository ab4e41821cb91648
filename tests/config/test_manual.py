"""The admins' manual: every example in it loads, and no key is missing from it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from connector.config.jsonschema import connection_schema, mapping_schema
from connector.core.convert.causes import Cause
from tests.config.files import CONNECTION, complaints

MANUAL = (Path(__file__).parents[2] / "mappings" / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml(?: file=(\S+))?\n(.*?)^```$", MANUAL, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(("file", "text"), EXAMPLES, ids=[file or text.split()[1] for file, text in EXAMPLES])
def test_an_example_loads(file: str, text: str) -> None:
    """As it stands."""
    assert complaints({"connection.yaml": CONNECTION, file or "mapping.yaml": text}) == []


@pytest.mark.parametrize("cause", Cause)
def test_every_reason_of_a_held_value_is_explained(cause: Cause) -> None:
    """An admin who reads one in `explain` finds it here."""
    assert f"`{cause}`" in MANUAL


@pytest.mark.parametrize("schema", [mapping_schema(), connection_schema()], ids=["mapping", "connection"])
def test_every_key_is_shown(schema: dict[str, Any]) -> None:
    """In an example."""
    examples = "\n".join(text for _file, text in EXAMPLES)
    assert [key for key in schema["properties"] if not re.search(rf"\b{key}:", examples)] == []
    lines = mapping_schema()["properties"]["fields"]["items"]["properties"]
    assert [key for key in lines if not re.search(rf"\b{key}:", examples)] == []
