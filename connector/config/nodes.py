"""YAML text to nodes that know their place.

A node that leaves here belongs to a file with one document, without duplicate keys, tags or keys that are not plain
words. Anchors and aliases are allowed; the grammar bounds how deep a reader goes, so a cycle of aliases cannot hang it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import StringIO
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from connector.core.mapping import Position, Problem

_PREFIX: Final = "tag:yaml.org,2002:"
_TAGS: Final = frozenset(
    _PREFIX + name for name in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge", "seq", "map")
)


LARGEST: Final = 128 << 10
"""Of a mapping file: bytes as it is read, characters as it is composed. Longer ones take too long."""
DEEPEST: Final = 64
_BRACKET: Final = re.compile(r"[\[\]{}]")


class MistakeError(Exception):
    """What is wrong with a part of a file: at least one problem, each at its own place."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems


class _Named(StringIO):
    """Text with the name that its marks carry."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


def position(node: Node) -> Position:
    """Where a node begins."""
    mark = node.start_mark
    return Position(str(mark.name), mark.line + 1, mark.column + 1)


def wrong(node: Node, message: str) -> MistakeError:
    """A mistake at a node."""
    return MistakeError(Problem(position(node), message))


def pairs(node: Node) -> Iterator[tuple[ScalarNode, Node]]:
    """Key and value nodes of a block in file order. A value that is not there stands where its key stands."""
    for key, value in node.value:
        missing = isinstance(value, ScalarNode) and value.start_mark.index == value.end_mark.index
        yield key, ScalarNode(value.tag, "", key.start_mark, key.end_mark) if missing else value


def kind(node: Node) -> str:
    """The YAML type in a word: str int float bool null timestamp seq map."""
    return str(node.tag).removeprefix(_PREFIX)


def describe(node: Node) -> str:
    """What a person would call the node."""
    if isinstance(node, MappingNode):
        return "a block of keys"
    if isinstance(node, SequenceNode):
        return "a list"
    return {"null": "nothing", "bool": "true/false", "int": "a number", "float": "a number"}.get(kind(node), "text")


def plain(node: Node) -> bool:
    """True for a scalar written without quotes: only then a word can be a keyword."""
    return isinstance(node, ScalarNode) and not node.style


def compose(file: str, text: str) -> Node:
    """The root node of a file's only document."""
    start = Position(file, 1, 1)
    if len(text) > LARGEST:
        raise MistakeError(Problem(start, f"the file is larger than {LARGEST >> 10} KiB"))
    if _deep(text):
        raise MistakeError(Problem(start, "nested too deeply"))
    try:
        root: Node | None = YAML(typ="safe", pure=True).compose(_Named(file, text))
    except MarkedYAMLError as error:
        raise MistakeError(Problem(_marked(error, start), f"not YAML: {_sentence(error, text)}")) from error
    except YAMLError as error:
        raise MistakeError(Problem(start, f"not YAML: {' '.join(str(error).split())}")) from error
    except RecursionError as error:
        raise MistakeError(Problem(start, "nested too deeply")) from error
    except (ValueError, AttributeError, IndexError, TypeError, KeyError, AssertionError, NotImplementedError) as error:
        # ruamel.yaml's scanner breaks on some malformed escapes and directives instead of complaining
        raise MistakeError(Problem(start, "not YAML: the file cannot be read")) from error
    if root is None:
        raise MistakeError(Problem(start, "the file is empty"))
    problems = tuple(_audit(root))
    if problems:
        raise MistakeError(*problems)
    return root


def _deep(text: str) -> bool:
    """True for what the scanner would take minutes over: it looks again at every open bracket at each token."""
    depth = 0
    for bracket in _BRACKET.finditer(text):
        depth = depth + 1 if bracket[0] in "[{" else max(depth - 1, 0)
        if depth > DEEPEST:
            return True
    return False


def _sentence(error: MarkedYAMLError, text: str) -> str:
    said = ", ".join(part for part in (error.context, error.problem) if part)
    mark = error.problem_mark or error.context_mark
    line = text.split("\n")[mark.line] if mark and mark.line < text.count("\n") + 1 else ""
    if "{{" in line or "{%" in line:
        return f"{said}; a template stands in quotes"
    return f"{said}; indent with spaces" if "\t" in line else said


def _marked(error: MarkedYAMLError, start: Position) -> Position:
    mark = error.problem_mark or error.context_mark
    return Position(start.file, mark.line + 1, mark.column + 1) if mark else start


def _audit(root: Node) -> Iterator[Problem]:
    """Everything that no grammar of ours has: tags, keys that are not words, keys given twice."""
    todo, seen = [root], set[int]()
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if str(node.tag) not in _TAGS:
            yield Problem(position(node), f"the tag {node.tag} is not used here")
        if isinstance(node, SequenceNode):
            todo.extend(node.value)
        elif isinstance(node, MappingNode):
            yield from _keys(node)
            todo.extend(child for pair in pairs(node) for child in pair)


def _keys(node: MappingNode) -> Iterator[Problem]:
    first: dict[str, Position] = {}
    for key, _value in pairs(node):
        if not isinstance(key, ScalarNode):
            advice = "; a template stands in quotes" if isinstance(key, MappingNode) else ""
            yield Problem(position(key), f"a key must be a word{advice}")
        elif key.value in first:
            yield Problem(position(key), f"{key.value!r} is given twice; first in line {first[key.value].line}")
        else:
            first[key.value] = position(key)
