"""Requests held against Pipedrive's published descriptions, where those lie beside the checkout."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from connector.sandbox.calls import Request, Response
from connector.sandbox.server import Sandbox
from tests import published

PREFIXES: Final = {"/api/v1": "v1", "/api/v2": "v2"}
GUIDE_ONLY: Final = {"first_name", "last_name"}
"""Body keys that the migration guide documents and the description lacks."""
TYPES: Final = {"integer": r"-?\d+", "number": r"-?\d+(\.\d+)?", "boolean": "true|false", "string": r".*"}


@dataclass(frozen=True, slots=True)
class Specs:
    """Both descriptions: prefix → paths."""

    paths: Mapping[str, Mapping[str, Any]]

    def complaints(self, request: Request) -> Iterator[str]:
        """What is wrong with a request."""
        prefix = next((each for each in self.paths if request.path.startswith(each)), None)
        template = prefix and self._template(prefix, request.path.removeprefix(prefix))
        if not prefix or not template or request.method.lower() not in self.paths[prefix][template]:
            yield f"{request.method} {request.path} is not described"
            return
        operation = self.paths[prefix][template][request.method.lower()]
        yield from _query(operation, request)
        yield from _body(operation, request)

    def _template(self, prefix: str, path: str) -> str | None:
        exact = [each for each in self.paths[prefix] if each == path]
        fitting = (each for each in self.paths[prefix] if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", each), path))
        return exact[0] if exact else next(fitting, None)


def load() -> Specs | None:
    """The descriptions; None, with the reason printed, where they are not there."""
    if not published.available():
        print("requests are not held against Pipedrive's descriptions: none beside the checkout")  # noqa: T201
        return None
    return Specs({prefix: published.paths(version) for prefix, version in PREFIXES.items()})


def watch(sandbox: Sandbox, specs: Specs | None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Complaints about the requests that the sandbox gets from now on; the list grows."""
    found: list[str] = []
    answer = sandbox.api.answer

    def watched(request: Request) -> Response:
        if specs is not None:
            found.extend(f"{request.method} {request.path}: {each}" for each in specs.complaints(request))
        return answer(request)

    monkeypatch.setattr(sandbox.api, "answer", watched)
    return found


def _query(operation: Mapping[str, Any], request: Request) -> Iterator[str]:
    known = {each["name"]: each["schema"] for each in operation.get("parameters", ()) if each["in"] == "query"}
    for name, value in request.query.items():
        schema = known.get(name)
        if schema is None:
            yield f"query {name} is not described"
        elif value not in map(str, schema.get("enum", [value])) or not re.fullmatch(TYPES[schema["type"]], value):
            yield f"query {name} has a value that is not described"


def _body(operation: Mapping[str, Any], request: Request) -> Iterator[str]:
    if not request.body:
        return
    described = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if described is None:
        yield "a body is not described"
        return
    body = _without_nulls(json.loads(request.body))
    for error in Draft202012Validator(described).iter_errors(body):
        yield f"{'/'.join(map(str, error.path))} {error.validator}"
    for key in body.keys() - _properties(described) - GUIDE_ONLY:
        yield f"body key {key} is not described"


def _properties(schema: Mapping[str, Any]) -> set[str]:
    parts = [_properties(each) for each in schema.get("allOf", ())]
    return set(schema.get("properties", ())).union(*parts)


def _without_nulls(value: Any) -> Any:
    """The descriptions' nullability is unreliable (REFERENCE §6): null is taken anywhere."""
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value
