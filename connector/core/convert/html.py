"""HTML fields: notes and activity notes. What leaves and what arrives is cleaned by nh3, and compared cleaned.

Allowed elements and attributes are nh3's defaults (ammonia): no script, style, class, event handler or script URL.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final

import nh3

from connector.core.convert import columns
from connector.core.convert.causes import Cause
from connector.core.convert.joint import Value
from connector.core.line import HeldError, Refs

if TYPE_CHECKING:
    from collections.abc import Hashable

    from connector.core.convert.text import Text
    from connector.core.model import Json
    from connector.core.schema import Column

_BLOCKS: Final = frozenset({
    "address", "article", "aside", "blockquote", "dd", "div", "dl", "dt", "figure", "footer", "h1", "h2", "h3", "h4",
    "h5", "h6", "header", "hr", "li", "ol", "p", "pre", "section", "table", "tr", "ul",
})  # fmt: skip
_ENOUGH: Final = 10
"""Passes until cleaned HTML stays as it is: two, unless somebody hid markup in markup."""
_BLANKS: Final = re.compile(r"[ \t\n\f]+")
_BETWEEN_TAGS: Final = re.compile(r">\s+<|>\s+$|^\s+<")


def clean(source: str) -> str:
    """The source without anything that could run, tags and entities in one spelling. Cleaning twice changes nothing."""
    made = columns.newlines(source)
    for _ in range(_ENOUGH):
        before, made = made, nh3.clean(made, link_rel=None)
        if made == before:
            return made
    return html.escape(plain(made), quote=False)


def escaped(text: str) -> str:
    """The text as HTML that shows the same."""
    return html.escape(columns.newlines(text), quote=False).replace("\n", "<br>")


def plain(source: str) -> str:
    """What a reader sees: text with line breaks where elements make them."""
    reader = _Reader()
    reader.feed(nh3.clean(source))
    reader.close()
    return reader.text()


class _Reader(HTMLParser):
    """Collects text. Elements that stand on lines of their own break the line before and after them, once."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = [""]
        self._broken = True

    def handle_starttag(self, tag: str, _: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            self._lines.append("")
            self._broken = True
        elif tag in _BLOCKS:
            self._break()

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._break()

    def handle_data(self, data: str) -> None:
        if data.strip("\n") or not self._broken:
            self._lines[-1] += data.replace("\n", " ")
            self._broken = False

    def _break(self) -> None:
        if self._lines[-1]:
            self._lines.append("")
        self._broken = True

    def text(self) -> str:
        """The lines read so far."""
        return "\n".join(self._lines)


def _shape(source: str) -> str:
    """Cleaned, and without the blanks that no reader sees."""
    return _BETWEEN_TAGS.sub(lambda found: _BLANKS.sub("", found[0]), _BLANKS.sub(" ", clean(source))).strip()


@dataclass(frozen=True, slots=True)
class Html(Value):
    """A column that holds HTML itself. Cleaned in both directions."""

    column: Column
    limit: int | None = None

    def to_crm(self, app: Json, _: Refs, /) -> Json:
        """Cleaned HTML."""
        return within(clean(columns.spelled(app)), self.limit)

    def to_app(self, crm: Json, _: Refs, /) -> Json:
        """Cleaned HTML."""
        return columns.fit(self.column, clean(columns.spelled(crm)))

    def app_form(self, app: Json, /) -> Hashable:
        """Cleaned HTML in which blanks count once."""
        return _shape(columns.spelled(app))

    def crm_form(self, crm: Json, /) -> Hashable:
        """Cleaned HTML in which blanks count once."""
        return _shape(columns.spelled(crm))


@dataclass(frozen=True, slots=True)
class TextInHtml(Value):
    """Plain text in an HTML field: sent escaped, read without its markup."""

    text: Text

    def to_crm(self, app: Json, _: Refs, /) -> Json:
        """Escaped text, line feeds as <br>."""
        return within(escaped(columns.spelled(app)), self.text.limit)

    def to_app(self, crm: Json, _: Refs, /) -> Json:
        """What a reader sees, without empty lines around it."""
        return columns.fit(self.text.column, plain(columns.spelled(crm)).strip("\n"))

    def app_form(self, app: Json, /) -> Hashable:
        """The text without blanks at the ends of lines."""
        return _seen(columns.newlines(columns.spelled(app)))

    def crm_form(self, crm: Json, /) -> Hashable:
        """What a reader sees, without blanks at the ends of lines."""
        return _seen(plain(columns.spelled(crm)))


def within(source: str, limit: int | None) -> str:
    """The source; HTML is never cut, which could break it."""
    if limit is not None and len(source) > limit:
        raise HeldError(Cause.TOO_LONG)
    return source


def _seen(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().split("\n"))
