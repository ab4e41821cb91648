"""What the files say wrong by themselves: names of mappings, match keys without a line, templates that are none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from connector.core.mapping import Condition, LineSpec, MappingSet, MappingSpec, Problem, Template, Test
from connector.core.spelling import meant
from connector.core.template import TemplateProblem, compile_template

Found = Iterator[Problem]


def alone(spec: MappingSet) -> Iterator[tuple[str, Problem]]:
    """The name of a mapping and a mistake in it, found without either schema."""
    names = [each.name for each in spec.mappings]
    for mapping in spec.mappings:
        for found in (_lines(mapping, names), _pointers(mapping, names), _match(mapping)):
            yield from ((mapping.name, problem) for problem in found)


def _wrong(mapping: MappingSpec, message: str, *paths: str) -> Problem:
    return Problem(next((mapping.keys[path] for path in paths if path in mapping.keys), mapping.at), message)


def _lines(mapping: MappingSpec, names: Sequence[str]) -> Found:
    for index, line in enumerate(mapping.lines):
        path = f"fields.{index}"
        if line.link is not None and line.link not in names:
            yield _wrong(mapping, _no_mapping(line.link, names), f"{path}.link", path)
        yield from _template(mapping, line.column, f"{path}.column")
        yield from _template(mapping, line.crm, f"{path}.crm")


def _template(mapping: MappingSpec, side: object, path: str) -> Found:
    if isinstance(side, Template):
        try:
            compile_template(side.source)
        except TemplateProblem as problem:
            yield _wrong(mapping, f"template, line {problem.line}: {problem.message}", path)


def _pointers(mapping: MappingSpec, names: Sequence[str]) -> Found:
    sides: dict[str, Iterable[Condition]] = {"receive": mapping.only_receive, "send": mapping.only_send}
    for side, conditions in sides.items():
        for condition in conditions:
            path = f"only.{side}.{condition.name}"
            for name in condition.operands if condition.test is Test.IN else ():
                if str(name) not in names:
                    yield _wrong(mapping, _no_mapping(str(name), names), f"{path}.in", path)


def _no_mapping(name: str, names: Iterable[str]) -> str:
    return f"this set has no mapping {name!r}{meant(name, names)}"


def _match(mapping: MappingSpec) -> Found:
    known = {column for line in mapping.lines for column in _columns(line)}
    for index, key in enumerate(mapping.match):
        for place, name in enumerate(key):
            if name not in known:
                message = f"no line of 'fields' maps column {name!r}{meant(name, known)}"
                yield _wrong(mapping, message, f"match.{index}.{place}", f"match.{index}", "match")


def _columns(line: LineSpec) -> tuple[str, ...]:
    return () if line.crm is None or isinstance(line.column, Template) else line.column
