"""`only:`: which records and rows take part."""

from __future__ import annotations

from functools import partial
from typing import Final

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from connector.config.nodes import describe, kind, pairs, plain, position, wrong
from connector.config.section import Found, Key, section
from connector.config.shapes import SCALAR, TEXT, Schema, Shape, every, list_of
from connector.core.mapping import Condition, Test
from connector.core.model import Json

_Comparison = tuple[Test, tuple[Json, ...]]
_LATER: Final = ("referenced_by", "brings")
_WORDS: Final = {"present": Test.PRESENT, "absent": Test.ABSENT}
_OPPOSITE: Final = {"present": "absent", "absent": "present"}
_VALUES: Final = list_of(SCALAR, least=1)


def _excluded(node: Node) -> tuple[Json, ...]:
    if isinstance(node, SequenceNode):
        return _VALUES.read(node)
    if _keyword(node):
        raise wrong(node, f"write {_OPPOSITE[node.value]} instead of {{not: {node.value}}}")
    return (SCALAR.read(node),)


def _keyword(node: Node) -> bool:
    return plain(node) and node.value in _WORDS


_NOT: Final = Key("not", Shape(_excluded, {"anyOf": [SCALAR.schema, _VALUES.schema]}))
_FROM: Final = Key("from", SCALAR)
_TO: Final = Key("to", SCALAR)
_IN: Final = Key("in", TEXT)


def _between(found: Found) -> _Comparison:
    return Test.BETWEEN, (found.get(_FROM), found.get(_TO))


_BETWEEN: Final = section((_FROM, _TO), _between, extra={"minProperties": 1})
_BLOCKS: Final[dict[str, Shape[_Comparison]]] = {
    "not": section((_NOT,), lambda found: (Test.NOT, found.of(_NOT, ())), extra={"minProperties": 1}),
    "in": section((_IN,), lambda found: (Test.IN, (found.get(_IN),)), extra={"minProperties": 1}),
    "from": _BETWEEN,
    "to": _BETWEEN,
}


def _block(node: MappingNode) -> _Comparison:
    given = [str(key.value) for key, _value in pairs(node)]
    if not given or given[0] not in _BLOCKS:
        raise wrong(node, "expected {not: x}, {from: a, to: b} or {in: MAPPING}")
    return _BLOCKS[given[0]].read(node)


def _comparison(node: Node) -> _Comparison:
    if isinstance(node, MappingNode):
        return _block(node)
    if isinstance(node, SequenceNode):
        return Test.ANY_OF, _VALUES.read(node)
    if kind(node) == "null":
        raise wrong(node, "expected a value, found nothing; write absent for a field without a value")
    if _keyword(node):
        return _WORDS[node.value], ()
    return Test.ANY_OF, (SCALAR.read(node),)


def _condition(key: ScalarNode, value: Node) -> Condition:
    if key.value in _LATER:
        raise wrong(key, f"{key.value!r} is not supported yet")
    test, operands = _comparison(value)
    return Condition(position(key), str(key.value), test, operands)


def _conditions(node: Node) -> tuple[Condition, ...]:
    if not isinstance(node, MappingNode):
        raise wrong(node, f"expected a block of keys, found {describe(node)}")
    return tuple(every(partial(_condition, key, value) for key, value in pairs(node)))


_SCHEMA: Final[Schema] = {
    "type": "object",
    "propertyNames": {"not": {"enum": list(_LATER)}},
    "additionalProperties": {
        "anyOf": [SCALAR.schema, _VALUES.schema, *(_BLOCKS[name].schema for name in ("not", "from", "in"))]
    },
}
CONDITIONS: Final = Shape(_conditions, _SCHEMA)
