"""Pipedrive's published descriptions, where they lie beside the checkout or beside a folder above it.

They are no part of the repository; tests that need them skip with the reason.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

_PLACE: Final = Path("shared", "pipedrive")
_AROUND: Final = [each / _PLACE for each in Path(__file__).resolve().parents[2:]]
FOLDER: Final = next((each for each in _AROUND if (each / "openapi-v2.yaml").exists()), _AROUND[0])


def available() -> bool:
    """Tell whether the descriptions are here."""
    return FOLDER.exists()


needs_files = pytest.mark.skipif(
    not available(), reason="the published OpenAPI files are not beside the checkout (../shared/pipedrive)"
)


@cache
def paths(version: str) -> Any:
    """All paths of `v1` or `v2`."""
    return YAML(typ="safe").load((FOLDER / f"openapi-{version}.yaml").read_text("utf-8"))["paths"]


def examples(version: str, path: str, method: str) -> dict[int, Any]:
    """The example answers of an operation by status."""
    answers = paths(version)[path][method.lower()]["responses"]
    told = {int(status): each.get("content", {}).get("application/json", {}) for status, each in answers.items()}
    return {status: each["example"] for status, each in told.items() if "example" in each}
