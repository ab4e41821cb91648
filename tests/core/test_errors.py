"""What went wrong: a sentence for people, and what a caller needs to know."""

from __future__ import annotations

from connector.core.errors import (
    MappingSetError,
    RateLimitedError,
    RefusedError,
    UnavailableError,
)
from connector.core.mapping import Position, Problem


def test_an_error_is_its_message() -> None:
    """What is printed is what was said; advice stands apart, and there may be none."""
    error = UnavailableError("the CRM does not answer", "try again later")
    assert (str(error), error.message, error.advice) == ("the CRM does not answer",) * 2 + ("try again later",)
    assert UnavailableError("x").advice == ""


def test_what_is_not_known() -> None:
    """A limit without a time is a burst; a refusal without fields or a code names none."""
    limited, refused = RateLimitedError("too fast"), RefusedError("no")
    assert (str(limited), limited.until, limited.daily) == ("too fast", None, False)
    assert (str(refused), refused.fields, refused.code) == ("no", (), "")


def test_all_problems_of_a_mapping_set() -> None:
    """One line each, with its place."""
    problems = (Problem(Position("a.yaml", 1, 2), "bad"), Problem(Position("b.yaml", 3, 4), "odd", warning=True))
    error = MappingSetError(problems)
    assert str(error) == "a.yaml:1:2: bad\nb.yaml:3:4: warning: odd"
    assert error.problems == problems
