"""The JSON Schema and the loader agree: what the loader takes, editors do not underline, and misshapes both refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from connector.config.jsonschema import connection_schema, mapping_schema
from tests.config.files import CONNECTION, FIELDS, HEAD, complaints
from tests.config.test_errors import CONNECTIONS, MAPPINGS

_LOADER_ONLY = {
    "two templates", "column template received", "column template both", "crm template sent", "template in a list",
    "only not present", "backfill since no date", "number too large", "a tag",
}  # fmt: skip
"""What no schema can say."""

_GOOD = {
    "smallest": HEAD + FIELDS,
    "all keys": HEAD
    + "name: x\nconflict: app\nmatch: [a, [b, c]]\ndeletes: {receive: {set: {a: now, b: null}}, send: unlink}\n"
    + "only: {receive: {a: present, b: [x, 1], c: {not: y}, d: {from: 1}, e: {in: m}}, send: {f: true}}\n"
    + "on_leave: delete\nbackfill: {since: 2025-01-31}\nrollout: observe\nset: {crm: {a: [1, x]}, app: {b: ~}}\n"
    + "updated_at: u\nbrake: {percent: 5%}\nkeep: [a]\n"
    + "fields:\n  - {column: [a, b], crm: [x, {key: k}], as: money, values: {1: x}, link: m,\n"
    + "     conflict: crm, empty: clear}\n"
    + '  - {column: a, crm: {key: k}, too_long: cut}\n  - {column: "{{ a }}", crm: b}\n  - {crm: b, direction: none}\n',
}
_GOOD_CONNECTIONS = {
    "smallest": CONNECTION,
    "all keys": CONNECTION
    + "name: x\nurl: u\naccess: read_only\nsweep: {recent: auto, full: 1h}\nbrake: {records: 1, percent: 0.5}\n"
    + "budget: {daily: auto, reserve: 100%}\nidentity_field: none\nwebhooks: manual\n",
}


def _accepts(schema: dict[str, Any], text: str) -> bool:
    try:
        value = json.loads(json.dumps(YAML(typ="safe", pure=True).load(text), default=str))
    except (YAMLError, TypeError):
        return False
    return bool(Draft202012Validator(schema).is_valid(value))


@pytest.mark.parametrize("schema", [mapping_schema(), connection_schema()], ids=["mapping", "connection"])
def test_the_schemas_are_schemas(schema: dict[str, Any]) -> None:
    """Valid, and plain JSON."""
    Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize("text", _GOOD.values(), ids=_GOOD)
def test_a_good_mapping_pleases_both(text: str) -> None:
    """Every key in every form."""
    assert complaints({"connection.yaml": CONNECTION, "m.yaml": text}) == []
    assert _accepts(mapping_schema(), text)


@pytest.mark.parametrize("text", _GOOD_CONNECTIONS.values(), ids=_GOOD_CONNECTIONS)
def test_a_good_connection_pleases_both(text: str) -> None:
    """Every key."""
    assert complaints({"connection.yaml": text}) == []
    assert _accepts(connection_schema(), text)


@pytest.mark.parametrize("name", sorted(MAPPINGS.keys() - _LOADER_ONLY))
def test_what_is_wrong_in_shape_the_mapping_schema_refuses_too(name: str) -> None:
    """The golden table of complaints, once more."""
    assert not _accepts(mapping_schema(), MAPPINGS[name][0])


@pytest.mark.parametrize("name", CONNECTIONS.keys())
def test_what_is_wrong_in_shape_the_connection_schema_refuses_too(name: str) -> None:
    """The golden table of complaints, once more."""
    assert not _accepts(connection_schema(), CONNECTIONS[name][0])
