"""Mappings of one CRM object: may one record belong to two of them, or one row become two records?

Each receiving mapping says something about a record's fields, by `only.receive` and by the constants of `set.crm`. Two
mappings are disjoint when some field separates them. Where no field does, and every field that one of them looks at is
looked at by the other too, a record of both exists: an error. In between nobody can tell: a warning, and the first
mapping in file order wins.

Where mappings share a table too, `only.send` may separate its rows in the same way: then a row is of one kind at a time.
Else it becomes a record of each mapping, which a set may mean: a warning.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
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


def overlaps(scopes: Sequence[Scope]) -> Iterator[tuple[str, Problem]]:
    """The later mapping of each overlapping pair, and what to say about it."""
    for first, second in combinations(scopes, 2):
        receive = first.spec.direction.receives and second.spec.direction.receives
        if receive and first.spec.object == second.spec.object and (problem := _overlap(first, second)) is not None:
            yield second.spec.name, problem
        elif _share_rows(first, second) and not _separate(_row_facts(first), _row_facts(second)):
            yield second.spec.name, _doubled(first, second)


def kinds(scopes: Sequence[Scope]) -> Mapping[str, frozenset[str]]:
    """By mapping: the others that send the same table's rows as records of the same object, but never the same row."""
    found: dict[str, set[str]] = defaultdict(set)
    for first, second in permutations(scopes, 2):
        if _share_rows(first, second) and _separate(_row_facts(first), _row_facts(second)):
            found[first.spec.name].add(second.spec.name)
    return {name: frozenset(others) for name, others in found.items()}


def _share_rows(first: Scope, second: Scope) -> bool:
    one, other = first.spec, second.spec
    places = [(spec.object, spec.schema, spec.table, spec.key) for spec in (one, other)]
    return places[0] == places[1] and one.direction.sends and other.direction.sends


def _doubled(first: Scope, second: Scope) -> Problem:
    one, other = first.spec, second.spec
    said = f"mappings {one.name!r} and {other.name!r} may send one row of {other.schema}.{other.table}"
    hint = f"it becomes two {other.object} records; separate them by only.send if one is meant"
    return Problem(second.at("only.send", "table"), f"{said}: {hint}", warning=True)


def _separate(one: _Facts, other: _Facts) -> bool:
    """True when some field or column keeps the two apart."""
    shared = one.keys() & other.keys()
    return any(_excludes(a, b) or _excludes(b, a) for name in shared for a in one[name] for b in other[name])


def _overlap(first: Scope, second: Scope) -> Problem | None:
    one, other = _facts(first), _facts(second)
    if _separate(one, other):
        return None
    shared = one.keys() & other.keys()
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


def _row_facts(scope: Scope) -> _Facts:
    facts: _Facts = {}
    columns = scope.table.columns if scope.table is not None else {}
    for condition in scope.spec.only_send:
        words = frozenset(same_word(None, operand, scope.metadata) for operand in condition.operands)
        many = condition.name in columns and columns[condition.name].kind in ("array", "json")
        facts.setdefault(condition.name, []).append(_Fact(condition.test, words, condition.operands, many=many))
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
