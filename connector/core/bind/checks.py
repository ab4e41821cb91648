"""What may be wrong with a line whose columns and fields are known, and between lines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from connector.core.bind.lines import Joined
from connector.core.bind.names import pin_word, unknown_choice
from connector.core.bind.scope import Scope
from connector.core.convert import columns
from connector.core.line import HeldError, Line
from connector.core.mapping import Direction, MappingSpec, Rollout, Template
from connector.core.schema import FieldType
from connector.core.spelling import meant

_TARGETS: Final = {
    FieldType.PERSON: "person",
    FieldType.ORG: "organization",
    FieldType.DEAL: "deal",
    FieldType.LEAD: "lead",
    FieldType.USER: "user",
    FieldType.PIPELINE: "pipeline",
    FieldType.STAGE: "stage",
}
_COMPOSED: Final = frozenset({FieldType.EMAILS, FieldType.PHONES, FieldType.SET, FieldType.ADDRESS})


def check_line(scope: Scope, line: Joined) -> None:
    """Notes everything wrong with one line."""
    _check_direction(scope, line)
    _check_link(scope, line)
    _check_values(scope, line)
    for column in line.columns:
        if column.generated and line.receives:
            scope.wrong(
                f"column {column.name!r} is generated and cannot be written; set direction: send", line.column_path
            )
        right = "SELECT" if not column.readable else "UPDATE" if line.receives and not column.writable else None
        if right is not None and not column.generated:
            message = f"column {column.name!r}: the connector's user lacks {right} ({column.name}) on {scope.place}"
            scope.moved(message, line.column_path)


def _check_direction(scope: Scope, line: Joined) -> None:
    written, outer = line.spec.direction, scope.spec.direction
    place = f"{line.path}.direction", line.path
    if line.readonly and written is Direction.SEND:
        scope.wrong(f"the CRM lets nobody write {_readonly(line)!r}; it can only be received", f"{line.path}.crm")
    elif line.readonly and line.direction is Direction.NONE and written is not Direction.NONE:
        scope.warn(f"{_readonly(line)!r} can only be received, but the mapping only sends: it does nothing", line.path)
    elif written is not None and not line.writes_back and written.within(outer) is not written:
        left = written.within(outer)
        effect = "it does nothing" if left is Direction.NONE else f"it only {left}s"
        scope.warn(f"the line's direction {written} is wider than the mapping's {outer}: {effect}", *place)


def _readonly(line: Joined) -> str:
    return next(field.key for field in line.fields if not field.writable)


def _check_link(scope: Scope, line: Joined) -> None:
    if line.spec.link is None:
        return
    target = scope.mappings.get(line.spec.link)
    place = f"{line.path}.link"
    if target is None:
        return
    _check_object(scope, line, target, place)
    key = scope.keys.get(target.name)
    for column in line.columns:
        if key is not None and column.kind != key.kind and "text" not in (column.kind, key.kind):
            message = f"column {column.name!r} ({column.type}) cannot hold a key of {target.name!r} ({key.type})"
            scope.wrong(message, line.column_path)


def _check_object(scope: Scope, line: Joined, target: MappingSpec, place: str) -> None:
    for field in line.fields:
        wanted = _TARGETS.get(field.type, target.object)
        if wanted != target.object:
            right = [name for name, spec in scope.mappings.items() if spec.object == wanted]
            advice = f"; mappings of {wanted}: {', '.join(right)}" if right else ""
            scope.wrong(f"{field.key!r} points to {wanted}, but {target.name!r} maps {target.object}{advice}", place)


def _check_values(scope: Scope, line: Joined) -> None:
    if isinstance(line.spec.crm, Template) or len(line.fields) != 1:
        return
    for app, label in line.spec.values.items():
        _check_word(scope, line, app)
        reason, place = unknown_choice(line.fields[0], label, scope.metadata), f"{line.path}.values.{app}"
        pin_word(scope, line.fields[0], label, place)
        if reason is not None:
            scope.unknown(reason, place)


def _check_word(scope: Scope, line: Joined, word: str) -> None:
    """The app's side of `values:`: a word that the column cannot hold is mistyped."""
    if isinstance(line.spec.column, Template) or len(line.columns) != 1:
        return
    column = line.columns[0].element or line.columns[0]
    try:
        columns.fit(column, word)
    except HeldError as error:
        advice = meant(word, column.labels) or f": {error.cause}"
        scope.wrong(
            f"column {column.name!r} ({column.type}) cannot hold {word!r}{advice}", f"{line.path}.values.{word}"
        )


def check_needs(scope: Scope, sent: Iterable[Joined | Line]) -> None:
    """Notes that none of the lines that are sent holds what a new record cannot do without."""
    known = {field.key for line in sent for field in line.fields}
    creates = scope.spec.direction.sends and scope.spec.rollout is not Rollout.RECEIVE
    for group in scope.metadata.needs.get(scope.spec.object, ()) if creates else ():
        if not known.intersection(group):
            names = " or ".join(map(repr, group))
            scope.warn(f"the CRM takes no new {scope.spec.object} without {names}, and no line sends it", "fields")


def check_targets(scope: Scope, lines: Iterable[Joined]) -> None:
    """Notes a column that two lines write, and a CRM field that two lines or a line and a constant send."""
    written: dict[str, Joined] = {}
    fields: dict[str, Joined] = {}
    for line in lines:
        for column in line.columns if line.receives else ():
            first = written.setdefault(column.name, line)
            if first is not line:
                message = f"column {column.name!r} is already written in line {first.spec.at.line}"
                scope.wrong(message, line.column_path)
        for field in line.fields if line.direction.sends else ():
            first = fields.setdefault(field.key, line)
            if first is not line and field.type not in _COMPOSED:
                message = f"{field.key!r} is already sent in line {first.spec.at.line}"
                scope.wrong(message, f"{line.path}.crm")
