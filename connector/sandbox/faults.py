"""Faults on demand: rules that match requests and say what goes wrong with them."""

import random
import re
from dataclasses import dataclass, field
from enum import StrEnum

from connector.sandbox.wire import Record


class Kind(StrEnum):
    """What goes wrong; ``applied`` means that the world has changed although the caller does not learn it."""

    STATUS = "status"  # answer with a status, not applied
    TIMEOUT_BEFORE = "timeout_before"  # hang, not applied
    TIMEOUT_AFTER = "timeout_after"  # applied, then hang
    STALE = "stale"  # a read: answered as the first of these requests was, whatever has changed since
    APPLIED_LATE = "applied_late"  # hang, applied after `seconds` even if the caller has gone
    DISCONNECT_BEFORE = "disconnect_before"  # connection cut, not applied
    DISCONNECT_AFTER = "disconnect_after"  # applied, connection cut
    HTML_403 = "html_403"  # Cloudflare's page, not applied
    SLOW = "slow"  # applied and answered normally after `seconds`
    SLOW_AFTER = "slow_after"  # applied at once, its webhooks sent, answered after `seconds`


class BodyKind(StrEnum):
    """What the body of a status fault looks like."""

    JSON = "json"
    HTML = "html"
    EMPTY = "empty"
    TORN = "torn"
    ECHO = "echo"  # the error quotes the request, as errors of validation do


@dataclass(slots=True)
class Rule:
    """One fault; ``count`` null means for ever, ``probability`` is per matching request."""

    kind: Kind
    method: str = ".*"
    path: str = ".*"
    count: int | None = None
    probability: float = 1.0
    code: int = 500
    body: BodyKind = BodyKind.JSON
    seconds: float = 1.0
    hits: int = 0

    @classmethod
    def read(cls, given: Record) -> "Rule":
        """Read a rule as posted; ValueError or TypeError when it is none."""
        known = {**given, "kind": Kind(given.get("kind", "")), "body": BodyKind(given.get("body", "json"))}
        rule = cls(**known)
        for pattern in (rule.method, rule.path):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern}: {error}") from error
        return rule

    def fits(self, method: str, path: str) -> bool:
        """Tell whether a request is meant: whole method, any part of the path."""
        spent = self.count is not None and self.hits >= self.count
        return not spent and bool(re.fullmatch(self.method, method)) and bool(re.search(self.path, path))


@dataclass(slots=True)
class Faults:
    """The rules in force; the first that fits and wins its throw is taken."""

    chance: random.Random
    rules: list[Rule] = field(default_factory=list)

    def match(self, method: str, path: str) -> Rule | None:
        """Take the rule for a request, counting it."""
        for rule in self.rules:
            if rule.fits(method, path) and (rule.probability >= 1 or self.chance.random() < rule.probability):
                rule.hits += 1
                return rule
        return None
