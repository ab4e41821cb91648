"""Reference cycles between mappings: which references are written second."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from connector.core.line import BoundMapping, Line
from connector.core.mapping import Problem

Graph = dict[str, set[str]]


def defer(mappings: Mapping[str, BoundMapping]) -> dict[str, BoundMapping]:
    """The mappings with `deferred` on every line that would close a cycle of references.

    Required references are laid first, the rest in file order, so that a cycle breaks where a child can go without.
    """
    back = {(name, line.name) for name, line in _back_edges(mappings)}
    return {
        name: replace(mapping, lines=tuple(replace(each, deferred=(name, each.name) in back) for each in mapping.lines))
        for name, mapping in mappings.items()
    }


def deadlocks(mappings: Iterable[BoundMapping]) -> Iterator[Problem]:
    """A warning for each back edge that is required: neither record can be made before the other."""
    for mapping in mappings:
        for line in mapping.lines:
            if line.deferred and line.required:
                message = (
                    f"{line.name!r} is required, but {line.link!r} needs {mapping.name!r} first: new pairs will wait"
                )
                yield Problem(line.at, message, warning=True)


def _back_edges(mappings: Mapping[str, BoundMapping]) -> Iterator[tuple[str, Line]]:
    graph: Graph = {}
    edges = [(name, line) for name, mapping in mappings.items() for line in mapping.lines if line.link is not None]
    for name, line in sorted(edges, key=lambda edge: not edge[1].required):
        if _reaches(graph, str(line.link), name):
            yield name, line
        else:
            graph.setdefault(name, set()).add(str(line.link))


def _reaches(graph: Graph, start: str, goal: str) -> bool:
    todo, seen = [start], set[str]()
    while todo:
        here = todo.pop()
        if here == goal:
            return True
        if here not in seen:
            seen.add(here)
            todo.extend(graph.get(here, ()))
    return False
