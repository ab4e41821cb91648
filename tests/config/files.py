"""Short ways to write a mapping set in a test."""

from __future__ import annotations

from connector.config.loader import Loaded, parse_set
from connector.core.errors import MappingSetError
from connector.core.mapping import MappingSpec

CONNECTION = "crm: pipedrive\ncredentials: {api_token: env:TOKEN}\n"
HEAD = "object: person\ntable: app.contacts\nkey: id\ndirection: both\n"
FIELDS = "fields: [{column: email, crm: emails}]\n"


def parsed(mapping: str, *, connection: str = CONNECTION) -> Loaded:
    """A set with one mapping file, contact.yaml."""
    return parse_set({"connection.yaml": connection, "contact.yaml": mapping}, name="acme")


def mapping(text: str) -> MappingSpec:
    """The mapping that a file makes."""
    return parsed(text).set.mappings[0]


def complaints(files: dict[str, str], name: str = "acme") -> list[str]:
    """Every problem in a set that cannot be loaded; empty for one that can."""
    try:
        parse_set(files, name=name)
    except MappingSetError as error:
        return [str(problem) for problem in error.problems]
    return []
