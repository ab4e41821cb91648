"""A block with named keys: the closed part of the grammar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from connector.config.nodes import MistakeError, describe, pairs, position, wrong
from connector.config.shapes import Schema, Shape
from connector.core.mapping import Position, Problem
from connector.core.spelling import meant

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Key(Generic[T_co]):
    """A key a block may hold. `about` is what an editor shows."""

    name: str
    shape: Shape[T_co]
    about: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A block as read: values by key, and the nodes of each key and its value."""

    at: Position
    values: Mapping[str, object]
    nodes: Mapping[str, tuple[Node, Node]]

    def get(self, key: Key[T]) -> T | None:
        """The value of a key, None when it is not given."""
        return cast("T | None", self.values.get(key.name))

    def of(self, key: Key[T], default: T) -> T:
        """The value of a key, or the default."""
        return cast("T", self.values.get(key.name, default))

    def must(self, key: Key[T]) -> T:
        """The value of a required key."""
        return cast("T", self.values[key.name])

    def node(self, key: Key[Any]) -> Node:
        """The node of a given key's value."""
        return self.nodes[key.name][1]

    def places(self) -> Iterator[tuple[str, Position]]:
        """Path → position, for complaints that come later: top-level keys, and what lies below those that name things.

        Keys of blocks point to the key (`set.crm.type`), items of lists to the item (`match.0.1`), scalars to the value.
        """
        for name, (key, value) in self.nodes.items():
            yield name, position(value) if isinstance(value, ScalarNode) else position(key)
            yield from _below(name, value)


def _below(path: str, node: Node) -> Iterator[tuple[str, Position]]:
    if isinstance(node, MappingNode):
        for key, value in pairs(node):
            yield f"{path}.{key.value}", position(value) if path.startswith("fields.") else position(key)
            yield from _below(f"{path}.{key.value}", value)
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            yield f"{path}.{index}", position(item)
            yield from _below(f"{path}.{index}", item)


def section(
    keys: Iterable[Key[Any]],
    build: Callable[[Found], T],
    *,
    later: Iterable[str] = (),
    extra: Schema | None = None,
) -> Shape[T]:
    """A block of these keys and no others. `later`: keys that a coming version brings; `extra`: more JSON Schema."""
    known = {key.name: key for key in keys}
    coming = frozenset(later)

    def read(node: Node) -> T:
        if not isinstance(node, MappingNode):
            raise wrong(node, f"expected a block of keys, found {describe(node)}")
        return build(_found(node, known, coming))

    return Shape(read, {**_schema(known), **(extra or {})})


def _found(node: MappingNode, known: Mapping[str, Key[Any]], later: frozenset[str]) -> Found:
    values: dict[str, object] = {}
    problems: list[Problem] = []
    for key, child in pairs(node):
        try:
            values[str(key.value)] = _value(key, child, known, later)
        except MistakeError as mistake:
            problems.extend(mistake.problems)
    given = {str(key.value): (key, child) for key, child in pairs(node)}
    missing = [key.name for key in known.values() if key.required and key.name not in given]
    problems.extend(Problem(position(node), f"{name!r} is missing") for name in missing)
    if problems:
        raise MistakeError(*problems)
    return Found(position(node), values, given)


def _value(key: ScalarNode, child: Node, known: Mapping[str, Key[Any]], later: frozenset[str]) -> object:
    if key.value not in known:
        raise wrong(key, _unknown(key, known, later))
    return known[key.value].shape.read(child)


def _unknown(key: ScalarNode, known: Mapping[str, object], later: frozenset[str]) -> str:
    name = str(key.value)
    return f"{name!r} is not supported yet" if name in later else f"unknown key {name!r}{meant(name, known)}"


def _schema(known: Mapping[str, Key[Any]]) -> dict[str, Any]:
    properties = {
        name: {**key.shape.schema, "description": key.about} if key.about else dict(key.shape.schema)
        for name, key in known.items()
    }
    required = [name for name, key in known.items() if key.required]
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": required} if required else schema
