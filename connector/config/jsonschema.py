"""JSON Schema of the two kinds of files, from the grammar that the loader reads with.

Accepts every file that the loader accepts. What one value says about another (a template and its direction) only the
loader knows; `connector check` has the last word.
"""

from __future__ import annotations

from typing import Any, Final

from connector.config.connection import connection
from connector.config.mappings import mapping

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def mapping_schema() -> dict[str, Any]:
    """The schema of a mapping file."""
    return {"$schema": _DIALECT, "title": "Connector mapping", **mapping("mapping").schema}


def connection_schema() -> dict[str, Any]:
    """The schema of connection.yaml."""
    return {"$schema": _DIALECT, "title": "Connector connection", **connection("connection").schema}
