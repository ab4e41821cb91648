"""Logs: what is on the lists is told, and no value of a record ever is."""

import io
import json
import logging
from collections.abc import Iterator
from enum import IntEnum, StrEnum
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from connector.core.errors import UnavailableError
from connector.obs import logs

CANARIES = (
    "canary-8472@acme.test",
    "+351 21 canary",
    "Canary Lima",
    "8472000111",
    "8472.01",
    "Basic Y2FuYXJ5Og==",
    "2026-08-04T07:02:00Z canary",
    "canary\nforged",
)
ALL_KEYS = sorted(logs.CODES | logs.NUMBERS | logs.IDS | {"error", "exc_info", "level", "event", "where", "dropped"})


@pytest.fixture(autouse=True)
def logging_kept() -> Iterator[None]:
    """Afterwards logging is as it was."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def stream() -> io.StringIO:
    """Where the lines of one test go."""
    out = io.StringIO()
    logs.configure("json", "info", out)
    return out


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """The lines so far."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def told(**keys: Any) -> str:
    """A line with these keys, as text."""
    return json.dumps(dict(logs.redact(None, "info", {"event": "test.line", **keys})), ensure_ascii=False)


def fail(error: Exception) -> None:
    """Raises it."""
    raise error


class Lane(IntEnum):
    """Like the lanes of the engine."""

    LIVE = 1


class Cause(StrEnum):
    """Like the causes of the engine."""

    MISSING = "missing"


def test_what_is_on_the_lists_is_told(stream: io.StringIO) -> None:
    """Names, codes, numbers and ids pass in their own kind of key."""
    structlog.get_logger().info(
        "record.synced", mapping="acme/contact", line="Customer tier", lane=Lane.LIVE, cause=Cause.MISSING,
        reasons=["crm.newer", "adopted"], crm_id="4711", app_key=logs.keyed_hash(b"salt", "ana"), seconds=0.25, link=9,
    )  # fmt: skip
    (line,) = lines(stream)
    del line["timestamp"], line["app_key"]
    assert line == {
        "event": "record.synced", "level": "info", "mapping": "acme/contact", "line": "Customer tier", "lane": "live",
        "cause": "missing", "reasons": "crm.newer,adopted", "crm_id": "4711", "seconds": 0.25, "link": 9,
    }  # fmt: skip


@pytest.mark.parametrize("key", ALL_KEYS)
@pytest.mark.parametrize("canary", [canary for canary in CANARIES if canary != "8472000111"])
def test_no_value_passes_under_a_key_of_ours(key: str, canary: str) -> None:
    """A value given by accident under any known key is left out, also inside lists, dictionaries and bytes."""
    for hidden in (canary, [canary], {"x": canary}, canary.encode(), ValueError(canary), (canary, canary)):
        assert "canary" not in told(**{key: hidden}).lower()
        assert "8472" not in told(**{key: hidden})


@given(st.text() | st.integers() | st.floats() | st.binary())
def test_an_unknown_key_never_passes(value: Any) -> None:
    """A key on no list is only named as dropped."""
    kept = logs.redact(None, "info", {"event": "test.line", "email": value})
    assert kept == {"event": "test.line", "dropped": "email"}


def test_errors_tell_class_and_place_only(stream: io.StringIO) -> None:
    """Texts of foreign exceptions are left out, of groups too; those of ours are sentences without values."""
    log = structlog.get_logger()
    for error in (ValueError(CANARIES[0]), ExceptionGroup(CANARIES[1], [KeyError(CANARIES[2])])):
        try:
            fail(error)
        except Exception:
            log.exception("test.failed")
    log.error("test.failed", error=UnavailableError("the database cannot be reached"))
    assert [line["error"] for line in lines(stream)] == [
        "ValueError",
        "ExceptionGroup(KeyError)",
        "UnavailableError: the database cannot be reached",
    ]
    assert lines(stream)[0]["where"].startswith("test_logs.py:")
    assert "anary" not in stream.getvalue()


def test_libraries_keep_level_and_place_but_not_their_words(stream: io.StringIO) -> None:
    """A library may quote anything; that it spoke, and where, remains."""
    logging.getLogger("aiohttp.server").error("failed for %s", CANARIES[0], exc_info=ValueError(CANARIES[2]))
    logging.getLogger("asyncio").info("quiet %s", CANARIES[0])
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["error"]) == ("library.message", "error", "ValueError")
    assert line["file"].startswith("aiohttp.server:")
    assert "canary" not in stream.getvalue()


def test_an_event_is_a_constant_name(stream: io.StringIO) -> None:
    """A sentence built from values is no event."""
    structlog.get_logger().warning(f"could not sync {CANARIES[0]}")
    assert lines(stream)[0]["event"] == "log.unnamed"


def test_bound_context_is_redacted_too(stream: io.StringIO) -> None:
    """What contextvars carry passes the same lists."""
    structlog.contextvars.bind_contextvars(connection="acme", token=CANARIES[0])
    structlog.get_logger().info("test.line")
    (line,) = lines(stream)
    assert (line["connection"], line["dropped"]) == ("acme", "token")


def test_console_lines_pass_the_same_lists() -> None:
    """The format changes nothing about what is told."""
    out = io.StringIO()
    logs.configure("console", "warning", out)
    structlog.get_logger().warning("test.line", connection="acme", secret=CANARIES[0])
    structlog.get_logger().info("test.quiet")
    assert "acme" in out.getvalue()
    assert "canary" not in out.getvalue()
    assert "quiet" not in out.getvalue()


@given(st.binary(min_size=1), st.text(), st.text())
def test_keyed_hashes_tell_equal_from_different(salt: bytes, one: str, other: str) -> None:
    """Equal under one salt means equal text; the hash passes as an id."""
    hashed = logs.keyed_hash(salt, one)
    assert (hashed == logs.keyed_hash(salt, other)) == (one == other)
    assert hashed in told(app_key=hashed)
    assert hashed != logs.keyed_hash(salt + b"\1", one)
