"""Jinja2's sandbox with an end to everything: steps of loops and calls, and the size of what one operation makes.

The sandbox of Jinja2 keeps a template from reaching what it was not given
(https://jinja.palletsprojects.com/en/stable/sandbox/); it does not keep one from taking all memory, or an hour.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import wraps
from typing import Any, Final, cast

from jinja2 import nodes, pass_context, pass_eval_context
from jinja2.exceptions import SecurityError
from jinja2.nodes import EvalContext
from jinja2.runtime import Context, LoopContext, markup_join, str_join
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

LARGEST: Final = 1_000_000
"""Characters of a text, elements of a list."""
STEPS: Final = 20_000
"""Turns of loops and calls of one rendering."""
COUNTER: Final = "steps taken"
"""The variable that counts them; no template can name it."""
_BITS: Final = 4_096
_GROWING: Final = ("batch", "center", "format", "indent", "join", "replace", "slice", "tojson", "wordwrap", "xmlattr")
"""Filters whose result is at most as large as their value times their largest argument."""
_METHODS: Final = frozenset(
    ["center", "expandtabs", "format", "format_map", "join", "ljust", "replace", "rjust", "translate", "zfill"]
)
"""Methods of text of which the same is true."""
_WIDE: Final = re.compile(r"[0-9]{5}")
"""A width of this many digits in what is formatted."""


class FrugalEnvironment(ImmutableSandboxedEnvironment):
    """Whatever grows is weighed before it is made. SecurityError ends the rendering."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 (Jinja2's)
        super().__init__(**options)
        self.filters.update({name: _weighed(name, self.filters[name]) for name in _GROWING})
        self.filters.update({_Counted.LOOP: _counted, _Counted.TEXT: _concatenated})

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Counted().visit(super()._parse(source, name, filename))
        return tree

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401 (Jinja2's)
        """The operation, unless it makes something huge out of something small."""
        if _grows(operator, left, right):
            raise SecurityError
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (Jinja2's)
        """The call, which is a step; of methods of text only what stays small."""
        _step(context)
        if isinstance(obj, LoopContext):
            raise SecurityError
        method = getattr(obj, "__wrapped__", obj)
        text = getattr(method, "__self__", None)
        if isinstance(text, str) and method.__name__ in _METHODS:
            args = tuple(map(_listed, args))
            _weigh(method.__name__, text, [*args, *kwargs.values()])
        return super().call(context, obj, *args, **kwargs)


class _Counted(NodeTransformer):
    """Puts the count into every loop, and the scales before every `~`."""

    LOOP, TEXT = "counted loop", "weighed text"

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 (the library's)
        """`for x in y` becomes `for x in y | counted`."""
        self.generic_visit(node)
        node.iter = _filter(cast("nodes.Expr", node.iter), self.LOOP)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 (the library's)
        """`a ~ b` becomes `[a, b] | concatenated`."""
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes), self.TEXT)


def _filter(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None)


@pass_context
def _counted(context: Context, values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        _step(context)
        yield value


@pass_eval_context
def _concatenated(context: EvalContext, parts: list[Any]) -> str:
    if sum(map(_weight, parts)) > LARGEST:
        raise SecurityError
    return markup_join(parts) if context.autoescape else str_join(parts)


def _step(context: Context) -> None:
    if next(context[COUNTER], None) is None:
        raise SecurityError


def counter() -> Iterator[int]:
    """The steps of one rendering, to be given to it as the variable COUNTER."""
    return iter(range(STEPS))


def _weighed(name: str, made: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, refusing what would become too large. A filter may take a context before its value."""
    before = 1 if getattr(made, "jinja_pass_arg", None) is not None else 0

    @wraps(made)
    def weighed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (any filter)
        head, value, more = args[:before], _listed(args[before]), args[before + 1 :]
        _weigh(name, value, [*more, *kwargs.values()])
        return made(*head, value, *more, **kwargs)

    return weighed


def _listed(value: Any) -> Any:  # noqa: ANN401 (any value of a template)
    """What can be looked at only once as a list."""
    return list(value) if isinstance(value, Iterator) else value


def _weigh(name: str, value: object, arguments: Iterable[object]) -> None:
    wide = name.startswith("format") and _WIDE.search(str(value)) is not None
    if wide or _weight(value) * max((_weight(each) for each in arguments), default=1) > LARGEST:
        raise SecurityError


def _weight(value: object) -> int:
    """How large it is: characters of texts, the elements of lists and what they hold, the value of a number."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, int):
        return max(abs(value), 1)
    weight, left = 0, [value]
    while left and weight <= LARGEST:
        each = left.pop()
        weight += len(each) if isinstance(each, str) else 1
        if isinstance(each, Mapping):
            left += [*each, *each.values()]
        elif isinstance(each, Collection) and not isinstance(each, str):
            left += each
    return weight


def _grows(operator: str, left: object, right: object) -> bool:
    """True for the operations that make something huge out of something small."""
    match operator:
        case "%":
            return isinstance(left, str)
        case "+":
            return not _numbers(left, right) and _weight(left) + _weight(right) > LARGEST
        case "*":
            return (
                _bits(left) + _bits(right) > _BITS
                if _numbers(left, right)
                else _weight(left) * _weight(right) > LARGEST
            )
        case _:
            return not isinstance(right, int) or _bits(left) * abs(right) > _BITS


def _numbers(left: object, right: object) -> bool:
    return not any(isinstance(each, str | list | tuple) for each in (left, right))


def _bits(value: object) -> int:
    return value.bit_length() if isinstance(value, int) else 1
