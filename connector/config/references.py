"""References in connection.yaml: secrets and addresses that stand elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from connector.config.contents import read_bounded
from connector.core.errors import ConnectorError

_ENV: Final = "env:"
_FILE: Final = "file:"
LARGEST: Final = 64 << 10
"""Bytes of a file with a secret."""


class UnresolvedReferenceError(ConnectorError):
    """What a reference names is not there. Names the variable or file, never a value."""


def resolve(reference: str, environ: Mapping[str, str], base: Path) -> str:
    """The text behind `env:NAME` or `file:PATH` (relative to `base`), stripped; any other text is itself.

    UnresolvedReferenceError when the variable is unset or empty, or the file cannot be read or is empty.
    """
    if reference.startswith(_ENV):
        return _variable(reference.removeprefix(_ENV), environ)
    if reference.startswith(_FILE):
        return _file(base / reference.removeprefix(_FILE))
    return reference


def _variable(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name, "").strip()
    if not value:
        near = get_close_matches(name, [each for each in environ if each != name], n=1, cutoff=0.8)
        other = f"; did you mean env:{near[0]}?" if near else ""
        raise UnresolvedReferenceError(
            f"the environment variable {name} is not set", f"set it, or change env:{name}{other}"
        )
    return value


def _file(path: Path) -> str:
    try:
        value = read_bounded(path, LARGEST).decode("utf-8").strip()
    except UnicodeDecodeError:
        raise UnresolvedReferenceError(f"the file {path} is not text", "put the secret into it, as UTF-8") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "its name holds what no path may"
        raise UnresolvedReferenceError(
            f"cannot read the file {path}: {why}", "check its path and permissions"
        ) from error
    if not value:
        raise UnresolvedReferenceError(f"the file {path} is empty", "put the secret into it")
    return value
