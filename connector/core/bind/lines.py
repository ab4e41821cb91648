"""One field rule joined with both schemas."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeVar

from connector.core.bind.names import field_named
from connector.core.bind.scope import Scope
from connector.core.convert import ImpossiblePairError, converter_for
from connector.core.convert import field_named as named_in_template
from connector.core.line import RETURNED, Converter, Line
from connector.core.mapping import Direction, FieldName, LineSpec, Template
from connector.core.schema import Column, CrmField, FieldType
from connector.core.template import TemplateProblem, compile_template

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Joined:
    """A line as written beside the columns and fields it names, and the direction in force."""

    spec: LineSpec
    path: str
    name: str
    columns: tuple[Column, ...]
    fields: tuple[CrmField, ...]
    direction: Direction
    converter: Converter | None

    @property
    def readonly(self) -> bool:
        """True when a CRM field of it is nobody's to write."""
        return not isinstance(self.spec.crm, Template) and any(not field.writable for field in self.fields)

    @property
    def writes_back(self) -> bool:
        """True for a line on the record's own id: received even where the mapping only sends."""
        return self.readonly and all(field.type is FieldType.ID for field in self.fields)

    @property
    def receives(self) -> bool:
        """True when it writes its columns."""
        return self.direction.receives and not isinstance(self.spec.column, Template)

    @property
    def column_path(self) -> str:
        """Where the file names its columns."""
        return f"{self.path}.column"

    def line(self, scope: Scope) -> Line | None:
        """The line ready for work; None where it has one side only, or no converter fits."""
        if self.converter is None:
            return None
        return Line(
            name=self.name,
            at=self.spec.at,
            direction=self.direction,
            columns=tuple(column.name for column in self.columns),
            fields=self.fields,
            converter=self.converter,
            rule=numbered(rule(self.spec, self.columns, self.fields), scope.returns(self.name)),
            conflict=self.spec.conflict or scope.spec.conflict,
            empty=self.spec.empty,
            link=self.spec.link,
            required=self._required(scope),
            readonly_crm=self.readonly,
            template=isinstance(self.spec.column, Template) or isinstance(self.spec.crm, Template),
        )

    def _required(self, scope: Scope) -> bool:
        if self.spec.link is None:
            return False
        targets = [line for line in scope.spec.lines if line.link is not None and line.direction is not Direction.NONE]
        only_target = scope.spec.object == "note" and len(targets) == 1
        return only_target or any(not column.nullable for column in self.columns)


def rule(spec: LineSpec, columns: Sequence[Column], fields: Sequence[CrmField]) -> str:
    """A digest of what makes a base valid. A field's name is no part of it: renaming one changes nothing."""
    templates = [side.source if isinstance(side, Template) else None for side in (spec.column, spec.crm)]
    names = [column.name for column in columns], [field.key for field in fields]
    parts = [*names, spec.converter, sorted(spec.values.items()), spec.link, templates]
    return sha256(json.dumps(parts).encode()).hexdigest()[:16]


def numbered(digest: str, returns: int) -> str:
    """The rule of a line that has returned so often after it was set aside: older bases are valid no more."""
    return f"{digest}{RETURNED}{returns}" if returns else digest


def join(scope: Scope, index: int, name: str) -> Joined | None:
    """The line at `index` of the mapping; None and notes where a name of it is not known."""
    spec, path = scope.spec.lines[index], f"fields.{index}"
    columns, fields = _columns(scope, spec, path), _fields(scope, spec, path)
    if columns is None or fields is None:
        return None
    direction = effective(scope, spec, fields)
    used = direction is not Direction.NONE or _matches(scope, spec)
    converter = _converter(scope, spec, path, columns, fields) if used and columns and fields else None
    return Joined(spec, path, name, columns, fields, direction, converter)


def effective(scope: Scope, spec: LineSpec, fields: Sequence[CrmField]) -> Direction:
    """The directions that object, line and the CRM all allow.

    The record's own id is also received by a mapping that only sends: it is written back. A rollout takes no direction
    from a line: what is not sent yet waits, and is no drift that would be undone.
    """
    written = spec.direction or Direction.BOTH
    direction = written.within(scope.spec.direction)
    if spec.crm is None:
        return Direction.NONE
    if not isinstance(spec.crm, Template) and any(not field.writable for field in fields):
        own_id = all(field.type is FieldType.ID for field in fields)
        idle = scope.spec.direction is Direction.NONE
        direction = (written if own_id and not idle else direction).within(Direction.RECEIVE)
    return direction


def _matches(scope: Scope, spec: LineSpec) -> bool:
    return not isinstance(spec.column, Template) and any(set(keys) & set(spec.column) for keys in scope.spec.match)


def _converter(
    scope: Scope, spec: LineSpec, path: str, columns: Sequence[Column], fields: Sequence[CrmField]
) -> Converter | None:
    try:
        return converter_for(spec, columns, fields, scope.metadata)
    except ImpossiblePairError as error:
        scope.wrong(str(error), f"{path}.as", path)
        return None


def _columns(scope: Scope, spec: LineSpec, path: str) -> tuple[Column, ...] | None:
    column = spec.column
    names = _variables(column) if isinstance(column, Template) else column
    if names is None:
        return None
    found = [scope.column(name, *_places(path, "column", index)) for index, name in enumerate(names)]
    return _all(found)


def _fields(scope: Scope, spec: LineSpec, path: str) -> tuple[CrmField, ...] | None:
    if spec.crm is None:
        return ()
    if isinstance(spec.crm, Template):
        variables = _variables(spec.crm)
        return None if variables is None else _all([_mentioned(scope, name, f"{path}.crm") for name in variables])
    return _all([field_named(scope, name, *_places(path, "crm", index)) for index, name in enumerate(spec.crm)])


def _mentioned(scope: Scope, name: str, path: str) -> CrmField | None:
    """The field that a template calls `name`."""
    found = named_in_template(name, scope.fields or ())
    return found or field_named(scope, FieldName(name), path)


def _variables(template: Template) -> tuple[str, ...] | None:
    """What a template reads of its side; None where it is no template."""
    try:
        return tuple(sorted(compile_template(template.source).names))
    except TemplateProblem:
        return None


def _all(found: Sequence[T | None]) -> tuple[T, ...] | None:
    known = tuple(each for each in found if each is not None)
    return known if len(known) == len(found) else None


def _places(path: str, side: str, index: int) -> tuple[str, ...]:
    return f"{path}.{side}.{index}", f"{path}.{side}", path
