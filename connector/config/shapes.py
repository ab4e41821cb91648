"""What a value may look like: each shape reads a node and says the same as JSON Schema.

One grammar, two uses: the loader reads with `Shape.read`, editors get `Shape.schema`. A reader finds every mistake
below its node, not only the first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import partial
from typing import Any, Final, Generic, TypeVar

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from connector.config.nodes import MistakeError, describe, kind, pairs, plain, wrong
from connector.core.mapping import Keyword, Problem, SetValue
from connector.core.model import Json
from connector.core.spelling import meant

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")
E = TypeVar("E", bound=StrEnum)

Schema = Mapping[str, Any]

_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,15}")
_DURATION: Final = re.compile(r"([0-9]{1,9})(s|m|h|d)")
_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3})?)%")
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_WHOLE: Final = 100.0


@dataclass(frozen=True, slots=True)
class Shape(Generic[T_co]):
    """A reader (raises MistakeError) and the JSON Schema of what it accepts."""

    read: Callable[[Node], T_co]
    schema: Schema

    def to(self, convert: Callable[[T_co], U]) -> Shape[U]:
        """The same shape with another value."""
        return Shape(lambda node: convert(self.read(node)), self.schema)


def every(readers: Iterable[Callable[[], T]]) -> list[T]:
    """The results of all readers, or all their mistakes in one."""
    results: list[T] = []
    problems: list[Problem] = []
    for read in readers:
        try:
            results.append(read())
        except MistakeError as mistake:
            problems.extend(mistake.problems)
    if problems:
        raise MistakeError(*problems)
    return results


def _text(node: Node) -> str:
    if not isinstance(node, ScalarNode):
        raise wrong(node, f"expected text, found {describe(node)}")
    if kind(node) == "null":
        raise wrong(node, "expected text, found nothing")
    if kind(node) in ("int", "float", "bool"):
        raise wrong(node, f"expected text, found {describe(node)}; put it in quotes if it is meant as text")
    if not node.value.strip():
        raise wrong(node, "expected text, found an empty one")
    if "\0" in node.value:
        raise wrong(node, "text holds a NUL character")
    return str(node.value)


def _label(node: Node) -> str:
    if not isinstance(node, ScalarNode) or kind(node) == "null":
        raise wrong(node, f"expected a value, found {describe(node)}")
    return str(node.value)


def _integer(node: Node) -> int:
    if kind(node) != "int" or not _INTEGER.fullmatch(node.value):
        raise wrong(node, f"expected a whole number, found {_shown(node)}")
    return int(node.value)


def _number(node: Node) -> float:
    try:
        if kind(node) in ("int", "float"):
            return float(node.value)
    except ValueError:
        pass
    raise wrong(node, f"expected a number, found {_shown(node)}")


def _shown(node: Node) -> str:
    return repr(node.value) if isinstance(node, ScalarNode) and kind(node) != "null" else describe(node)


def _scalar(node: Node) -> Json:
    """A scalar with the type YAML 1.2 gives it; dates stay text."""
    match kind(node):
        case "int":
            return _integer(node)
        case "float":
            return _finite(node)
        case "bool":
            return str(node.value).lower() == "true"
        case "null" | "seq" | "map":
            raise wrong(node, f"expected a value, found {describe(node)}")
        case _:
            return str(node.value)


def _finite(node: Node) -> float:
    number = _number(node)
    if number - number:  # infinite or not a number
        raise wrong(node, f"expected a number, found {node.value!r}")
    return number


def _set_value(node: Node) -> SetValue:
    if isinstance(node, SequenceNode):
        return every(partial(_scalar, item) for item in node.value)
    if kind(node) == "null":
        return Keyword.NULL
    if plain(node) and node.value == "now":
        return Keyword.NOW
    return _scalar(node)


def _duration(node: Node) -> float:
    found = _DURATION.fullmatch(_text(node)) if kind(node) == "str" else None
    if not found or not int(found[1]):
        raise wrong(node, f"expected a duration such as 3s, 5m, 24h or 7d, found {_shown(node)}")
    return int(found[1]) * _SECONDS[found[2]]


def _share(node: Node) -> float:
    found = _PERCENT.fullmatch(str(node.value)) if isinstance(node, ScalarNode) else None
    if not found or float(found[1]) > _WHOLE:
        raise wrong(node, f"expected a percentage such as 20%, found {_shown(node)}")
    return float(found[1]) / _WHOLE


def _date(node: Node) -> str:
    try:
        return date.fromisoformat(_text(node)).isoformat()
    except ValueError as error:
        raise wrong(node, f"expected a date such as 2025-01-31, found {_shown(node)}") from error


_JSON_SCALAR: Final[Schema] = {"type": ["string", "number", "boolean"]}
TEXT: Final = Shape(_text, {"type": "string", "pattern": r"\S"})
LABEL: Final = Shape(_label, _JSON_SCALAR)
SCALAR: Final = Shape(_scalar, _JSON_SCALAR)
INTEGER: Final = Shape(_integer, {"type": "integer"})
SET_VALUE: Final = Shape(
    _set_value, {"anyOf": [{"type": ["string", "number", "boolean", "null"]}, {"type": "array", "items": _JSON_SCALAR}]}
)
DURATION: Final = Shape(_duration, {"type": "string", "pattern": r"^0*[1-9][0-9]{0,8}(s|m|h|d)$"})
SHARE: Final = Shape(_share, {"type": "string", "pattern": r"^(100(\.0{1,3})?|[0-9]{1,2}(\.[0-9]{1,3})?)%$"})
DATE: Final = Shape(_date, {"type": "string", "pattern": r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"})


def at_least(shape: Shape[int], least: int) -> Shape[int]:
    """Integers from `least` on."""

    def read(node: Node) -> int:
        number = shape.read(node)
        if number < least:
            raise wrong(node, f"must be at least {least}")
        return number

    return Shape(read, {**shape.schema, "minimum": least})


def _read_percent(node: Node) -> float:
    number = _number(node) if kind(node) in ("int", "float") else _share(node) * _WHOLE
    if not 0 <= number <= _WHOLE:
        raise wrong(node, "must be from 0 to 100")
    return number


PERCENT: Final = Shape(_read_percent, {"anyOf": [{"type": "number", "minimum": 0, "maximum": 100}, SHARE.schema]})


def word(known: Iterable[str]) -> Shape[str]:
    """One of the known words."""
    words = tuple(known)

    def read(node: Node) -> str:
        if not isinstance(node, ScalarNode) or kind(node) == "null":
            raise wrong(node, f"expected one of {', '.join(words)}, found {describe(node)}")
        found = str(node.value)
        if found not in words:
            raise wrong(node, f"unknown value {found!r}{meant(found, words)}")
        return found

    return Shape(read, {"enum": list(words)})


def choice(enum: type[E]) -> Shape[E]:
    """One of an enum's values."""
    return word(enum).to(enum)


def list_of(item: Shape[T], *, least: int = 0) -> Shape[tuple[T, ...]]:
    """A list with at least `least` items."""

    def read(node: Node) -> tuple[T, ...]:
        if not isinstance(node, SequenceNode):
            raise wrong(node, f"expected a list, found {describe(node)}")
        if len(node.value) < least:
            raise wrong(node, "the list is empty" if least == 1 else f"expected at least {least} items")
        return tuple(every(partial(item.read, child) for child in node.value))

    return Shape(read, {"type": "array", "items": item.schema, **({"minItems": least} if least else {})})


def table_of(value: Shape[T]) -> Shape[dict[str, T]]:
    """A block with free keys."""

    def read(node: Node) -> dict[str, T]:
        if not isinstance(node, MappingNode):
            raise wrong(node, f"expected a block of keys, found {describe(node)}")
        names = every(partial(_label, key) for key, _child in pairs(node))
        return dict(zip(names, every(partial(value.read, child) for _key, child in pairs(node)), strict=True))

    return Shape(read, {"type": "object", "additionalProperties": value.schema})


def by_kind(*, scalar: Shape[T], block: Shape[T] | None = None, items: Shape[T] | None = None) -> Shape[T]:
    """A value that may be written in several forms, told apart by the form alone."""

    def read(node: Node) -> T:
        if block is not None and isinstance(node, MappingNode):
            return block.read(node)
        if items is not None and isinstance(node, SequenceNode):
            return items.read(node)
        return scalar.read(node)

    return Shape(read, {"anyOf": [shape.schema for shape in (scalar, block, items) if shape is not None]})


def or_word(keyword: str, value: T, shape: Shape[T]) -> Shape[T]:
    """An unquoted keyword with a meaning of its own, or `shape`."""

    def read(node: Node) -> T:
        return value if plain(node) and node.value == keyword else shape.read(node)

    return Shape(read, {"anyOf": [{"const": keyword}, shape.schema]})
