"""Mappings of one CRM object: may one record belong to two of them?

Each receiving mapping says something about a record's fields, by `only.receive` and by the constants of `set.crm`. Two
mappings are disjoint when some field separates them. Where no field does, and every field that one of them looks at is
looked at by the other too, a record of both exists: an error. In between nobody can tell: a warning, and the first
mapping in file order wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from connector.core.bind.names import quiet, same_word
from connector.core.bind.scope import Scope
from connector.core.mapping import Condition, FieldName, Keyword, Problem, Test
from connector.core.model import Json
from connector.core.schema import FieldType

_MANY: Final = frozenset({FieldType.SET, FieldType.EMAILS, FieldType.PHONES})


@dataclass(frozen=True, slots=True)
class _Fact:
    """What a mapping says of one field. `many`: the field holds several values, so naming two separates nothing."""

    test: Test
    words: frozenset[str]
    operands: tuple[Json, ...]
    many: bool


_Facts = dict[str, list[_Fact]]


def overlaps(scopes: Iterable[Scope]) -> Iterator[tuple[str, Problem]]:
    """The later mapping of each overlapping pair, and what to say about it."""
    receiving = [scope for scope in scopes if scope.spec.direction.receives]
    for first, second in combinations(receiving, 2):
        if first.spec.object == second.spec.object and (problem := _overlap(first, second)) is not None:
            yield second.spec.name, problem


def _overlap(first: Scope, second: Scope) -> Problem | None:
    one, other = _facts(first), _facts(second)
    shared = one.keys() & other.keys()
    if any(_excludes(a, b) or _excludes(b, a) for name in shared for a in one[name] for b in other[name]):
        return None
    certain = len(shared) in (len(one), len(other)) and not _points(one) and not _points(other)
    both = f"mappings {first.spec.name!r} and {second.spec.name!r} both receive {second.spec.object} records"
    at = second.at("only.receive", "object")
    if certain:
        return Problem(at, f"{both}; separate them by only.receive or set.crm")
    return Problem(at, f"{both} and may overlap; {first.spec.name!r} wins", warning=True)


def _facts(scope: Scope) -> _Facts:
    facts: _Facts = {}
    for condition in (*scope.spec.only_receive, *_constants(scope)):
        field = quiet(scope, FieldName(condition.name))
        words = frozenset(same_word(field, operand, scope.metadata) for operand in condition.operands)
        fact = _Fact(condition.test, words, condition.operands, many=field is not None and field.type in _MANY)
        facts.setdefault(field.key if field else condition.name, []).append(fact)
    return facts


def _constants(scope: Scope) -> Iterator[Condition]:
    for name, value in scope.spec.set_crm.items():
        at = scope.at(f"set.crm.{name}")
        if value is None or value is Keyword.NULL:
            yield Condition(at, name, Test.ABSENT)
        elif value is not Keyword.NOW:
            yield Condition(at, name, Test.ANY_OF, tuple(value) if isinstance(value, list) else (value,))


def _points(facts: _Facts) -> bool:
    return any(fact.test is Test.IN for found in facts.values() for fact in found)


def _excludes(one: _Fact, other: _Fact) -> bool:
    """True when no value of the field satisfies both."""
    match one.test, other.test:
        case Test.ANY_OF, Test.ANY_OF:
            return not one.many and not one.words & other.words
        case Test.ANY_OF, Test.NOT:
            return one.words <= other.words
        case Test.ANY_OF, Test.BETWEEN:
            return not one.many and all(_outside(value, other.operands) for value in one.operands)
        case Test.BETWEEN, Test.BETWEEN:
            return not one.many and _before(one.operands[1], other.operands[0])
        case ((Test.ANY_OF | Test.PRESENT | Test.BETWEEN | Test.IN), Test.ABSENT):
            return True
        case _:
            return False


def _outside(value: Json, bounds: Sequence[Json]) -> bool:
    return _before(value, bounds[0]) or _before(bounds[1], value)


def _before(one: Json, other: Json) -> bool:
    """True when both are known, comparable and in strict order; dates compare as text."""
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one < other
    return isinstance(one, str) and isinstance(other, str) and one < other
