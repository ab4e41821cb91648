"""Words people mistyped: what they may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_SHOWN: Final = 12


def meant(word: str, known: Iterable[str]) -> str:
    """The known word nearest to `word`, spelled for the end of a complaint; few known words are listed instead.

    Empty when nothing is known, or nothing is near and the list would be long.
    """
    words = sorted({str(each) for each in known})
    by_folded = {each.casefold(): each for each in reversed(words)}
    near = get_close_matches(word.casefold(), list(by_folded), n=1, cutoff=0.6)
    if near:
        return f"; did you mean {by_folded[near[0]]!r}?"
    if words and len(words) <= _SHOWN:
        return f"; known: {', '.join(words)}"
    return ""
