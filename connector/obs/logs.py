"""Log lines that cannot carry a value: only known keys pass, and each only in the shape that its kind allows.

An event is a constant dotted name; what belongs to it stands in keys. Whatever is not on a list below is left out, and
the line says so in `dropped`. Texts of exceptions are left out too, for they quote values; the error's class and the
place remain. What libraries log through the standard library keeps its level, logger and place.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from traceback import extract_tb
from types import TracebackType
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

from connector.core.errors import ConnectorError


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NAMES: Final = _words("connection mapping object line lines field fields column table file set address release")
"""Words of the mapping set, of both schemas and of the start-up: written by admins, never read from a record."""
CODES: Final = _words("""
    action cause code command direction endpoint kind lane method mode outcome phase reason reasons result rule side
    state status winner
""")
"""Words of our own vocabulary and codes of the CRM: a small letter, then such letters, digits and `_./:+-`."""
NUMBERS: Final = _words("""
    attempt batch bytes changed conflicts count created deleted due epoch events failed generation intent limit link
    offset pages parked pid port records remaining request rows run seconds seen skipped status tokens updated waiting
    workers
""")
IDS: Final = _words("app_key crm_id actor")
"""Numbers pass; text only as `keyed_hash` spells it."""

_EVENT: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")
_CODE: Final = re.compile(r"[a-z][a-z0-9_./:+-]{0,79}")
_ID: Final = re.compile(r"-?\d{1,20}|~[0-9a-f]{16}")
_NAME_LENGTH: Final = 200
_FRAMES: Final = 6


def keyed_hash(salt: bytes, text: str) -> str:
    """A name for `text` that tells equal from different within one connection, and nothing else."""
    return "~" + hmac.digest(salt, text.encode(errors="surrogatepass"), hashlib.sha256).hex()[:16]


def configure(fmt: Literal["json", "console"], level: str, stream: TextIO | None = None) -> None:
    """Sends every line of ours and of the libraries through the allow-lists to `stream` (default: stderr)."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    target = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        redact,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, _renderer(fmt, target)],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Foreign()], level=max(threshold, logging.WARNING), force=True)


def redact(_: object, __: str, line: EventDict) -> EventDict:
    """The line with only what the allow-lists let pass."""
    kept: EventDict = {key: shown for key, value in line.items() if (shown := _shown(key, value)) is not None}
    kept.update(_fault(line))
    kept.setdefault("event", "log.unnamed")
    if dropped := sorted(key for key in line if key not in kept and line[key] is not None and key != "exc_info"):
        kept["dropped"] = ",".join(key for key in dropped if key.isidentifier())
    return kept


def _shown(key: str, value: object) -> object:
    for keys, shape in _SHAPES:
        if key in keys and (found := shape(value)) is not None:
            return found
    return None


def _number(value: object) -> object:
    return value if isinstance(value, bool | int | float) else None


def _code(value: object) -> object:
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, str):
        return value if _CODE.fullmatch(value) else None
    return _joined(value, _code)


def _name(value: object) -> object:
    if isinstance(value, str):
        return str(value) if len(value) <= _NAME_LENGTH else None
    return _joined(value, _name)


def _id(value: object) -> object:
    return str(value) if isinstance(value, str | int) and _ID.fullmatch(str(value)) else None


def _joined(value: object, shape: Callable[[object], object]) -> object:
    if not isinstance(value, list | tuple):
        return None
    shown = [shape(part) for part in value]
    return None if None in shown else ",".join(map(str, shown))


def _event(value: object) -> object:
    return value if isinstance(value, str) and _EVENT.fullmatch(value) else None


def _level(value: object) -> object:
    return value if isinstance(value, str) and value.isalpha() else None


_SHAPES: Final[Sequence[tuple[frozenset[str], Callable[[object], object]]]] = (
    (frozenset({"event"}), _event),
    (frozenset({"level"}), _level),
    (NUMBERS, _number),
    (CODES, _code),
    (NAMES, _name),
    (IDS, _id),
)


def _fault(line: Mapping[str, Any]) -> Mapping[str, str]:
    """Class and place of the error under `error` or `exc_info`, with the sentence of our own errors only."""
    error = line.get("error") or line.get("exc_info")
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, tuple):
        error = error[1]
    if not isinstance(error, BaseException):
        return {}
    return {"error": _told(error), "where": _place(_first(error).__traceback__)}


def _told(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        return f"{name}({', '.join(_told(part) for part in error.exceptions)})"
    return f"{name}: {error.message}" if isinstance(error, ConnectorError) else name


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _place(trace: TracebackType | None) -> str:
    frames = extract_tb(trace)[-_FRAMES:]
    return " > ".join(f"{PurePath(frame.filename).name}:{frame.lineno}" for frame in frames)


def _renderer(fmt: str, target: TextIO) -> Processor:
    if fmt == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=target.isatty())


class _Foreign(logging.Handler):
    """Passes on that a library logged something, and where; never its words, which may quote anything."""

    def emit(self, record: logging.LogRecord) -> None:
        level = min(record.levelno // 10 * 10, logging.CRITICAL)
        place = f"{record.name}:{record.lineno}"
        structlog.get_logger().log(level, "library.message", file=place, exc_info=record.exc_info)
