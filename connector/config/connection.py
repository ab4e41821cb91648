"""`connection.yaml`: which CRM account, with which credentials and limits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Final

from ruamel.yaml.nodes import Node, ScalarNode

from connector.config.nodes import MistakeError, pairs, position, wrong
from connector.config.section import Found, Key, section
from connector.config.shapes import DURATION, INTEGER, PERCENT, SHARE, TEXT, Shape, at_least, choice, or_word, word
from connector.core.mapping import (
    CRMS,
    Access,
    BrakeHalves,
    BrakeSpec,
    BudgetSpec,
    ConnectionSpec,
    Position,
    Problem,
    SweepSpec,
    Webhooks,
)

NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
WITHHELD: Final = "env:WITHHELD"
_REFERENCE: Final = re.compile(r"(env|file):.")

_RECENT: Final[Key[float | None]] = Key("recent", or_word("auto", None, DURATION.to(lambda seconds: seconds)))
_FULL: Final = Key("full", DURATION)


def _sweep(found: Found) -> SweepSpec:
    return SweepSpec(recent=found.get(_RECENT), full=found.of(_FULL, SweepSpec().full))


_RECORDS: Final = Key("records", at_least(INTEGER, 0))
_PERCENT: Final = Key("percent", PERCENT)


def _brake(found: Found) -> BrakeHalves:
    return BrakeHalves(records=found.get(_RECORDS), percent=found.get(_PERCENT))


BRAKE: Final = Key(
    "brake",
    section((_RECORDS, _PERCENT), _brake),
    "When mass change waits for a person: a count and a share.",
)

_DAILY: Final[Key[int | None]] = Key("daily", or_word("auto", None, at_least(INTEGER, 1).to(lambda tokens: tokens)))
_RESERVE: Final = Key("reserve", SHARE)


def _budget(found: Found) -> BudgetSpec:
    return BudgetSpec(daily=found.get(_DAILY), reserve=found.of(_RESERVE, BudgetSpec().reserve))


_API_TOKEN: Final = Key("api_token", TEXT, "env:NAME or file:/path", required=True)
_CREDENTIALS: Final = Key(
    "credentials",
    section((_API_TOKEN,), lambda found: {"api_token": found.must(_API_TOKEN)}, later=("oauth",)),
    "How to log in to the CRM; secrets as env:NAME or file:/path.",
    required=True,
)
_CRM: Final = Key("crm", word(CRMS), "The CRM, for example pipedrive.", required=True)


def _name(node: Node) -> str:
    name = TEXT.read(node)
    if not NAME.fullmatch(name):
        raise wrong(node, _bad_name(name))
    return name


def _bad_name(name: str) -> str:
    return f"the name {name!r} may hold letters, digits, '_' and '-' only"


_NAME: Final = Key(
    "name", Shape(_name, {"type": "string", "pattern": f"^{NAME.pattern}$"}), "Default: the directory's name."
)
_URL: Final = Key("url", TEXT, "The CRM's base URL, or env:NAME.")
_ACCESS: Final = Key("access", choice(Access), "read_only: no call that changes the CRM.")
_SWEEP: Final = Key("sweep", section((_RECENT, _FULL), _sweep), "How often to look for what webhooks lost.")
_BUDGET: Final = Key(
    "budget", section((_DAILY, _RESERVE), _budget), "API tokens per day; the share kept for live work."
)
_IDENTITY: Final[Key[str | None]] = Key(
    "identity_field", or_word("none", None, TEXT.to(lambda name: name)), "CRM text field that carries our key, or none."
)
_WEBHOOKS: Final = Key("webhooks", choice(Webhooks), "How webhook subscriptions are made.")
_KEYS: Final = (_CRM, _NAME, _URL, _CREDENTIALS, _ACCESS, _SWEEP, BRAKE, _BUDGET, _IDENTITY, _WEBHOOKS)


def _build(directory: str, found: Found) -> ConnectionSpec:
    name = found.of(_NAME, directory)
    if not NAME.fullmatch(name):
        raise MistakeError(Problem(found.at, f"{_bad_name(name)} (the directory's name); set 'name'"))
    return ConnectionSpec(
        name=name,
        at=found.at,
        crm=found.must(_CRM),
        credentials=found.must(_CREDENTIALS),
        url=found.get(_URL),
        access=found.of(_ACCESS, Access.READ_WRITE),
        sweep=found.of(_SWEEP, SweepSpec()),
        brake=found.of(BRAKE, BrakeHalves()).over(BrakeSpec()),
        budget=found.of(_BUDGET, BudgetSpec()),
        identity_field=found.of(_IDENTITY, "Connector ID"),
        webhooks=found.of(_WEBHOOKS, Webhooks.AUTO),
        keys=dict(found.places()),
    )


def connection(directory: str) -> Shape[ConnectionSpec]:
    """The shape of connection.yaml in a directory of that name."""
    return section(_KEYS, partial(_build, directory))


def literal_secrets(root: Node) -> Iterator[Problem]:
    """A warning for each credential that stands in the file itself. `root` is a valid connection.yaml."""
    return (_literal(name, value) for name, value in _literals(root))


def without_secrets(root: Node, text: str) -> str:
    """The text of a valid connection.yaml with a reference in the place of each credential that stands in it."""
    for _, node in reversed(list(_literals(root))):
        end = text[node.end_mark.index - 1 : node.end_mark.index]
        line = "\n" if end == "\n" else ""
        text = text[: node.start_mark.index] + WITHHELD + line + text[node.end_mark.index :]
    return text


def _literals(root: Node) -> Iterator[tuple[str, Node]]:
    for key, node in pairs(root):
        if key.value == "credentials":
            yield from ((name.value, value) for name, value in pairs(node) if not _refers(value))


def _refers(node: Node) -> bool:
    return isinstance(node, ScalarNode) and bool(_REFERENCE.match(node.value))


def _literal(name: str, node: Node) -> Problem:
    at: Position = position(node)
    return Problem(at, f"the secret {name!r} stands in the file; write env:NAME or file:/path", warning=True)
