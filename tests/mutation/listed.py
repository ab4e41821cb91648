"""The survivors that change nothing: equivalent.yaml, compared with what survived."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML

LIST: Final = Path(__file__).with_name("equivalent.yaml")
_MANGLED: Final = re.compile(r"x(?:ǁ(?P<of>\w+)ǁ|_)(?P<name>\w+?)__mutmut_\d+")


@dataclass(frozen=True, slots=True, order=True)
class Mutant:
    """A change of some lines of a function; its number would move with every edit, so it has none.

    `was` and `now` are the changed lines, without indentation.
    """

    function: str
    was: str
    now: str

    def __str__(self) -> str:
        lines = [self.function]
        lines += [f"  - {line}" for line in self.was.splitlines()] + [f"  + {line}" for line in self.now.splitlines()]
        return "\n".join(lines)


def listed(path: Path = LIST) -> list[Mutant]:
    """The mutants of the file, each under the reason why no test can notice it."""
    groups = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8")) or []
    return [Mutant(each["function"], each["was"].strip(), each["now"].strip()) for g in groups for each in g["mutants"]]


def shown(name: str, diff: str) -> Mutant:
    """The mutant of this name as `mutmut show` tells it."""
    lines = [line for line in diff.splitlines() if line[:1] in ("-", "+") and line[:3] not in ("---", "+++")]
    was, now = (_changed(lines, sign) for sign in "-+")
    return Mutant(function_of(name), was, now)


def function_of(name: str) -> str:
    """`package.module.Class.function` of a mutant's name."""
    module, _, mangled = name.rpartition(".")
    found = _MANGLED.fullmatch(mangled)
    if found is None:
        raise ValueError(f"not a mutant's name: {name}")
    return ".".join(part for part in (module, found["of"], found["name"]) if part)


def differences(known: Iterable[Mutant], survivors: Iterable[Mutant]) -> tuple[list[Mutant], list[Mutant]]:
    """The survivors that are not listed, and the listed ones that did not survive; one that is listed twice may be twice."""
    expected, found = Counter(known), Counter(survivors)
    return sorted((found - expected).elements()), sorted((expected - found).elements())


def _changed(lines: Iterable[str], sign: str) -> str:
    return "\n".join(line[1:].strip() for line in lines if line[0] == sign)
