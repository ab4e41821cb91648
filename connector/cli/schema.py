"""``connector schema``: what editors and CI check mapping files with."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from connector.config.jsonschema import connection_schema, mapping_schema


def schema(
    connection: Annotated[bool, typer.Option("--connection", help="Of connection.yaml, not of mapping files.")] = False,  # noqa: FBT002
) -> None:
    """Print the JSON Schema of mapping files, or of connection.yaml.

    Example: connector schema > .vscode/connector.schema.json
    """
    print(json.dumps(connection_schema() if connection else mapping_schema(), indent=2))
