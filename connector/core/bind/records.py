"""What a mapping asks of its CRM object beside its lines: filters, constants, match keys, kept fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from connector.core.bind.lines import Joined, numbered, rule
from connector.core.bind.names import field_named, is_spelling, pin_word, quiet, unknown_choice
from connector.core.bind.scope import Scope
from connector.core.convert import ImpossiblePairError, constant_for
from connector.core.line import Line
from connector.core.mapping import Condition, Direction, FieldName, Keyword, LineSpec, Rollout, SetValue, Template, Test
from connector.core.model import Json
from connector.core.schema import CrmField, FieldType, Metadata


def check_object(scope: Scope) -> None:
    """Notes every field and option that filters and `keep` name and the CRM does not have."""
    for condition in scope.spec.only_receive:
        _check_condition(scope, condition, f"only.receive.{condition.name}")
    for index, name in enumerate(scope.spec.keep):
        before = scope.mark
        field_named(scope, FieldName(name), f"keep.{index}")
        scope.keep_or_set_aside(f"keep.{name}", before)


def filters(scope: Scope) -> tuple[Condition, ...]:
    """`only.receive` under the names that the CRM has now, each with its field's key."""
    return tuple(_followed(condition, quiet(scope, FieldName(condition.name))) for condition in scope.spec.only_receive)


def _followed(condition: Condition, field: CrmField | None) -> Condition:
    if field is None:
        return condition
    return replace(condition, name=field.name if field.custom else condition.name, key=field.key)


def _check_condition(scope: Scope, condition: Condition, path: str) -> None:
    field = field_named(scope, FieldName(condition.name), path)
    if field is not None and condition.test in (Test.ANY_OF, Test.NOT):
        for index, operand in enumerate(condition.operands):
            _check_operand(scope, field, operand, (f"{path}.{index}", f"{path}.not.{index}", f"{path}.not", path))


def _check_operand(scope: Scope, field: CrmField, operand: Json, places: Sequence[str]) -> None:
    reason = unknown_choice(field, str(operand), scope.metadata)
    pin_word(scope, field, str(operand), *places)
    if reason is not None and not is_spelling(field, str(operand), scope.metadata):
        scope.unknown(reason, *places)
    elif field.type is FieldType.USER and not _is_user(scope.metadata, str(operand).casefold()):
        scope.warn(f"the CRM has no user {operand!r}", *places)


def _is_user(metadata: Metadata, text: str) -> bool:
    return any(text in (user.id, user.email.casefold()) for user in metadata.users)


def constants(scope: Scope, lines: Iterable[Joined]) -> tuple[Line, ...]:
    """`set.crm` as send-only lines; none where the mapping may not send."""
    sent = {field.key: line for line in lines if line.direction.sends for field in line.fields}
    made = [_kept_constant(scope, name, value, sent) for name, value in scope.spec.set_crm.items()]
    sends = scope.spec.direction.sends and scope.spec.rollout is not Rollout.RECEIVE
    return tuple(line for line in made if line is not None) if sends else ()


def _kept_constant(scope: Scope, name: str, value: SetValue, sent: dict[str, Joined]) -> Line | None:
    before = scope.mark
    made = _constant(scope, name, value, sent)
    if not scope.keep_or_set_aside(f"set.{name}", before) or made is None:
        return None
    return replace(made, rule=numbered(made.rule, scope.returns(made.name)))


def _constant(scope: Scope, name: str, value: SetValue, sent: dict[str, Joined]) -> Line | None:
    path = f"set.crm.{name}"
    field = field_named(scope, FieldName(name), path)
    if field is None:
        return None
    if not field.writable:
        scope.wrong(f"the CRM lets nobody write {name!r}", path)
    if field.key in sent:
        scope.wrong(f"{name!r} is already sent in line {sent[field.key].spec.at.line}", path)
    for choice in _chosen(value):
        reason = unknown_choice(field, choice, scope.metadata)
        pin_word(scope, field, choice, path)
        if reason is not None:
            scope.wrong(reason, path)
            return None
    try:
        converter = constant_for(field, value, scope.metadata)
    except ImpossiblePairError as error:
        scope.wrong(str(error), path)
        return None
    spec = LineSpec(scope.at(path), (), None, values={"": repr(value)})
    return Line(
        f"set.{name}", spec.at, Direction.SEND, (), (field,), converter, rule(spec, (), (field,)), scope.spec.conflict
    )


def _chosen(value: SetValue) -> Iterator[str]:
    if isinstance(value, list):
        yield from (str(item) for item in value)
    elif not isinstance(value, Keyword):
        yield str(value)


def match_lines(scope: Scope, lines: Sequence[Joined]) -> tuple[tuple[Line, ...], ...]:
    """The lines of each match key, in the order of the file."""
    keys = [[_match_line(scope, lines, i, j) for j in range(len(key))] for i, key in enumerate(scope.spec.match)]
    found = (tuple(line for line in key if line is not None) for key in keys)
    return tuple(each for each, key in zip(found, keys, strict=True) if len(each) == len(key))


def _match_line(scope: Scope, lines: Sequence[Joined], key: int, item: int) -> Line | None:
    """The line that maps the column; where there is none, or it does not fit, that was complained about."""
    known = {column.name: line for line in reversed(lines) if _usable(line) for column in line.columns}
    found = known.get(scope.spec.match[key][item])
    return found.line(scope) if found is not None else None


def _usable(line: Joined) -> bool:
    return line.spec.crm is not None and not isinstance(line.spec.column, Template)
