"""The published OpenAPI descriptions as a judge of responses.

Without them nothing is judged and the conformance test says so. One path is parsed when first needed: the files are
large and hold no references.
"""

import json
import re
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from tests.published import FOLDER, available

# Seen null in recorded exchanges or documented as empty, though the descriptions say otherwise (nullability is
# unreliable throughout): references and texts of records that have none, times of what has not happened, last pages.
NULL_TOO = frozenset(
    {
        "next_cursor",
        *("org_id", "person_id", "deal_id", "lead_id", "project_id", "task_id", "stage_id", "picture_id", "label"),
        *("first_name", "last_name", "address", "location", "custom_fields", "note", "public_description", "priority"),
        *("deal", "person", "organization", "icon_url", "last_update_user_id", "attendees"),
        *("due_date", "due_time", "duration", "marked_as_done_time", "update_time", "stage_change_time"),
        *("won_time", "lost_time", "close_time", "expected_close_date", "add_time", "origin_id"),
        *("conference_meeting_client", "conference_meeting_url", "conference_meeting_id"),
        *("country", "admin_area_level_1", "admin_area_level_2", "locality", "sublocality", "route"),
        *("street_number", "subpremise", "postal_code"),
    }
)


def complaints(method: str, path: str, status: int, body: Any) -> list[str]:
    """List what a response says against its description; nothing for what is not described."""
    validator = _validator(method.lower(), path, status)
    if validator is None:
        return []
    return [f"{method} {path} {status} {error.json_path}: {error.message}" for error in validator.iter_errors(body)]


def is_described(method: str, path: str) -> bool:
    """Tell whether the descriptions know this operation."""
    version, rest = _split(path)
    template = _template(version, rest)
    return template is not None and method.lower() in _operations(version, template)


def price(method: str, path: str) -> int | None:
    """Give the price of an operation in tokens; null when it is not described."""
    version, rest = _split(path)
    template = _template(version, re.sub(r"\{\w+\}", "1", rest))
    operation = _operations(version, template).get(method.lower()) if template else None
    return None if operation is None else int(operation["x-token-cost"])


def _validator(method: str, path: str, status: int) -> Draft202012Validator | None:
    version, rest = _split(path)
    template = _template(version, rest)
    if template is None:
        return None
    return _schema(version, template, method, status)


@cache
def _schema(version: str, template: str, method: str, status: int) -> Draft202012Validator | None:
    responses = _operations(version, template).get(method, {}).get("responses", {})
    described = responses.get(str(status)) or (_success(responses) if status < 300 else None)
    content = (described or {}).get("content", {}).get("application/json")
    return Draft202012Validator(_translate(content["schema"])) if content else None


def _success(responses: dict[str, Any]) -> Any:
    """Specs and reality differ on 200 and 201: take the one that is described."""
    return next((value for code, value in responses.items() if code.startswith("2")), None)


def _split(path: str) -> tuple[str, str]:
    found = re.match(r"(?:/api)?/(v[12])(/.*)", path)
    assert found, path
    return found[1], found[2]


@cache
def _blocks(version: str) -> dict[str, str]:
    text = (FOLDER / f"openapi-{version}.yaml").read_text("utf-8")
    start = text.index("\npaths:\n") + len("\npaths:\n")
    blocks = re.split(r"(?m)^(?=  '?/)", text[start : text.find("\ncomponents:", start)])
    return {block.split(":\n", 1)[0].strip().strip("'"): block for block in blocks if block.strip()}


def _template(version: str, path: str) -> str | None:
    if not available():
        return None
    fitting = [each for each in _blocks(version) if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", each), path)]
    return min(fitting, key=lambda each: each.count("{"), default=None)


@cache
def _operations(version: str, template: str) -> Any:
    (operations,) = YAML(typ="safe", pure=True).load(_blocks(version)[template]).values()
    return json.loads(json.dumps(operations, default=str))


def _translate(schema: Any, name: str = "") -> Any:
    """Respell an OpenAPI 3.0 schema as JSON Schema; null where it is nullable or on the list above."""
    if not isinstance(schema, dict):
        return schema
    kept = {key: schema[key] for key in ("type", "enum", "required") if key in schema}
    for key in ("allOf", "oneOf", "anyOf"):
        if key in schema:
            kept[key] = [_translate(each) for each in schema[key]]
    if "properties" in schema:
        kept["properties"] = {key: _translate(each, key) for key, each in schema["properties"].items()}
    if "items" in schema:
        kept["items"] = _translate(schema["items"])
    if schema.get("nullable") or name in NULL_TOO:
        return {"anyOf": [kept, {"type": "null"}]}
    return kept
