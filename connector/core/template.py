"""Jinja2 in a sandbox: a template is a source over one side's record.

Null renders as nothing and stays nothing through filters and attributes; a name that is no column or field is an error,
found when compiling. No files, no randomness, no attributes that start with an underscore, and an end to how long a text
may become and how long that may take (`frugal`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, Undefined, meta, nodes
from jinja2 import Template as JinjaTemplate
from jinja2.exceptions import SecurityError

from connector.core.frugal import COUNTER, LARGEST, FrugalEnvironment, counter

if TYPE_CHECKING:
    from collections.abc import Mapping

RECORD: Final = "record"
"""The variable that holds all values by name, for names that are no identifiers: `record["Customer tier"]`."""


class TemplateProblem(Exception):  # noqa: N818 (not a failure of ours: a sentence for the admin)
    """The source is no usable template; `line` counts from 1 within it."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.message, self.line = message, line


class RenderError(Exception):
    """The template ends in an error for this record. The message names no values."""


class Null(str):
    """Null inside a template: empty text, false, `is none`, and null again in every part of it."""

    __slots__ = ()


class _Environment(FrugalEnvironment):
    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: ANN401 (Jinja2's signature)
        return obj if isinstance(obj, Null) else super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:  # noqa: ANN401 (Jinja2's signature)
        return obj if isinstance(obj, Null) else super().getitem(obj, argument)


@dataclass(frozen=True, slots=True)
class CompiledTemplate:
    """A template ready to render. `names`: the columns or fields that it mentions."""

    names: frozenset[str]
    _text: JinjaTemplate
    _html: JinjaTemplate

    def render(self, values: Mapping[str, object], *, html: bool) -> str:
        """The text for a record; with `html`, values are escaped. RenderError when it fails or grows beyond LARGEST."""
        given = {name: _nulls(value) for name, value in values.items()}
        template = self._html if html else self._text
        try:
            return _bounded(template, given | {RECORD: given, COUNTER: counter()})
        except Exception as error:  # a template is an admin's program: it can end in any exception
            raise RenderError(type(error).__name__) from error


def is_template(text: str) -> bool:
    """True when the text asks for rendering."""
    return "{{" in text or "{%" in text


@lru_cache(maxsize=1_024)
def compile_template(source: str) -> CompiledTemplate:
    """The template; TemplateProblem says what is wrong with it and on which of its lines."""
    try:
        tree = _PLAIN.parse(source)
        _refuse_files(tree)
        return CompiledTemplate(_names(tree), _PLAIN.from_string(source), _ESCAPING.from_string(source))
    except TemplateSyntaxError as error:
        raise TemplateProblem(error.message or "not a template", error.lineno) from error
    except (TemplateError, RecursionError) as error:
        raise TemplateProblem(str(error)) from error


def _environment(*, html: bool) -> _Environment:
    made = _Environment(
        autoescape=html, undefined=StrictUndefined, finalize=_finished, keep_trailing_newline=True, cache_size=0
    )
    for name in ("lipsum", "cycler", "joiner"):
        del made.globals[name]
    del made.filters["random"]
    made.filters["default"] = made.filters["d"] = _default
    made.tests["none"] = lambda value: value is None or isinstance(value, Null)
    return made


def _finished(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value


def _default(value: object, other: object = "", _: object = None) -> object:
    return other if isinstance(value, Undefined | Null) else value


def _nulls(value: object) -> object:
    """The value with Null for every null in it."""
    if isinstance(value, dict):
        return {name: _nulls(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_nulls(part) for part in value]
    return Null() if value is None else value


def _bounded(template: JinjaTemplate, values: Mapping[str, object]) -> str:
    pieces: list[str] = []
    size = 0
    for piece in template.generate(values):
        size += len(piece)
        if size > LARGEST:
            raise SecurityError
        pieces.append(piece)
    return "".join(pieces)


def _refuse_files(tree: nodes.Template) -> None:
    found = next(tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)), None)
    if found is not None:
        raise TemplateProblem("a mapping's template cannot load other templates", found.lineno)


def _names(tree: nodes.Template) -> frozenset[str]:
    free = meta.find_undeclared_variables(tree) - set(_PLAIN.globals)
    by_text = [item for item in tree.find_all(nodes.Getitem) if _is_record(item.node)]
    if RECORD not in free or not by_text:
        return frozenset(free)
    quoted = {item.arg.value for item in by_text if isinstance(item.arg, nodes.Const)}
    return frozenset(free - {RECORD} | {str(name) for name in quoted})


def _is_record(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name == RECORD


_PLAIN: Final = _environment(html=False)
_ESCAPING: Final = _environment(html=True)
