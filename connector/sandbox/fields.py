"""Field definitions: the built-in fields of each entity and the custom ones with their options.

Source: OpenAPI v2 (``…Fields``), core-api-concepts-custom-fields, the API v2 migration guide.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from connector.sandbox.bodies import ADDRESS_PARTS
from connector.sandbox.wire import Json, Record

CREATABLE = (
    "varchar",
    "varchar_auto",
    "text",
    "double",
    "monetary",
    "phone",
    "date",
    "daterange",
    "time",
    "timerange",
    "enum",
    "set",
    "address",
    "org",
    "people",
    "user",
)
FIELDED = ("deal", "person", "organization", "activity")
_PARTS: dict[str, tuple[str, ...]] = {
    "address": ADDRESS_PARTS,
    "monetary": ("value", "currency"),
    "daterange": ("value", "until"),
    "time": ("value", "timezone_id", "timezone_name"),
    "timerange": ("value", "until", "timezone_id", "timezone_name"),
}


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of an enum or set field; built-in ones may have text ids."""

    id: int | str
    label: str
    color: str | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """One field definition; code and type never change."""

    code: str
    name: str
    type: str
    options: tuple[Option, ...] | None = None
    custom: bool = False
    description: str | None = None

    def option_ids(self) -> set[int | str]:
        """Give the ids that a value may have."""
        return {option.id for option in self.options or ()}

    def wire(self) -> Record:
        """Give the definition as v2 does, without the keys of ``include_fields``."""
        options = None if self.options is None else [_option_wire(each) for each in self.options]
        parts = [
            {"field_code": part, "field_name": f"{part} of {self.name}", "field_type": "varchar"}
            for part in _PARTS.get(self.type, ())
        ]
        return {
            "field_name": self.name,
            "field_code": self.code,
            "description": self.description or "",
            "field_type": self.type,
            "options": options,
            "subfields": parts or None,
            "is_custom_field": self.custom,
            "is_optional_response_field": False,
        }


def _option_wire(option: Option) -> Record:
    base: Record = {"id": option.id, "label": option.label}
    return {**base, "color": option.color} if option.color else base


class Catalogue:
    """The field definitions of a company; ``version`` moves with every change."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._made = 0
        self._next_option = 1
        self.version = 0
        self._by_entity: dict[str, dict[str, Field]] = {entity: {} for entity in FIELDED}

    def add_builtin(self, entity: str, fields: Iterable[Field]) -> None:
        """Install the fields that every account has."""
        self._by_entity[entity].update({field.code: field for field in fields})

    def of(self, entity: str) -> list[Field]:
        """List an entity's fields, built-in ones first, then in order of creation."""
        return list(self._by_entity[entity].values())

    def custom(self, entity: str) -> Iterator[Field]:
        """List an entity's custom fields."""
        return (field for field in self._by_entity.get(entity, {}).values() if field.custom)

    def get(self, entity: str, code: str) -> Field | None:
        """Find a field by its code."""
        return self._by_entity[entity].get(code)

    def named(self, entity: str, name: str) -> Field:
        """Find a custom field by its name (names are not unique; the first wins)."""
        return next(field for field in self.custom(entity) if field.name == name)

    def create(
        self, entity: str, *, name: str, type_: str, labels: Iterable[str] = (), description: str | None = None
    ) -> Field:
        """Make a custom field with a fresh 40-hex code."""
        self._made += 1
        code = hashlib.sha1(f"{self._seed}/{entity}/{self._made}".encode(), usedforsecurity=False).hexdigest()
        options = tuple(self.new_option(label) for label in labels) if type_ in ("enum", "set") else None
        field = Field(code, name, type_, options, custom=True, description=description)
        self.put(entity, field)
        return field

    def new_option(self, label: str, color: str | None = None) -> Option:
        """Make an option with a fresh id; ids are unique in the company."""
        option = Option(self._next_option, label, color)
        self._next_option += 1
        return option

    def put(self, entity: str, field: Field) -> None:
        """Add or replace a definition."""
        self._by_entity[entity][field.code] = field
        self.version += 1

    def with_options(self, entity: str, field: Field, options: Iterable[Option]) -> None:
        """Replace the options of a field."""
        self.put(entity, replace(field, options=tuple(options)))

    def remove(self, entity: str, code: str) -> None:
        """Forget a definition; its values vanish from answers."""
        del self._by_entity[entity][code]
        self.version += 1

    def whole(self, entity: str, sparse: Record) -> Json:
        """Give every custom field of the entity with its value or null; null when the account has none."""
        return {field.code: sparse.get(field.code) for field in self.custom(entity)} or None
