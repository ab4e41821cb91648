"""CRM fields and their choices by the names that admins write."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from connector.core.bind.scope import Scope
from connector.core.convert import choice
from connector.core.convert.choice import Choices
from connector.core.line import HeldError
from connector.core.mapping import FieldName
from connector.core.model import Json
from connector.core.pins import Pin
from connector.core.schema import CrmField, FieldType, Metadata
from connector.core.spelling import meant


def field_named(scope: Scope, name: FieldName, *paths: str) -> CrmField | None:
    """The field: a built-in by its API name first, else a custom field by name, else by the key once pinned to it.

    Noted where none or several answer to the name.
    """
    if scope.fields is None:
        return None
    found = _found(scope, scope.fields, name)
    before = scope.pins.fields.get(scope.spec.object, {}).get(name.name)
    if len(found) == 1:
        now = Pin(found[0].key, found[0].type.value)
        scope.met.fields[name.name] = scope.pinned(before, now, f"the field {name.name!r}", *paths)
    elif before is not None:
        scope.met.fields[name.name] = before
    if not found:
        scope.wrong(_unknown(scope, scope.fields, name), *paths)
    elif len(found) > 1:
        keys = " or ".join(f"{{key: {field.key}}}" for field in found)
        scope.wrong(f"{len(found)} fields are named {name.name!r}; write {keys}", *paths)
    elif found[0].custom and not name.by_key and found[0].name != name.name:
        scope.warn(f"the field {name.name!r} is now named {found[0].name!r}", *paths)
    return found[0] if len(found) == 1 else None


def quiet(scope: Scope, name: FieldName) -> CrmField | None:
    """The same field without notes."""
    found = _found(scope, scope.fields or (), name)
    return found[0] if len(found) == 1 else None


def _found(scope: Scope, fields: tuple[CrmField, ...], name: FieldName) -> list[CrmField]:
    if name.by_key:
        return [field for field in fields if field.key == name.name]
    built_in = [field for field in fields if field.key == name.name and not field.custom]
    if built_in:
        return built_in
    pin = scope.pins.fields.get(scope.spec.object, {}).get(name.name)
    named = [field for field in fields if field.custom and field.name == name.name]
    return [field for field in fields if pin is not None and field.key == pin.key] or named


def _unknown(scope: Scope, fields: tuple[CrmField, ...], name: FieldName) -> str:
    if name.by_key:
        return f"{scope.spec.object} has no field with the key {name.name!r}"
    custom = next((field for field in fields if field.key == name.name), None)
    if custom is not None:
        return f"{name.name!r} is a key; write the field's name {custom.name!r} or {{key: {name.name}}}"
    known = [field.name if field.custom else field.key for field in fields]
    return f"{scope.spec.object} has no field {name.name!r}{meant(name.name, known)}"


def unknown_choice(field: CrmField, word: str, metadata: Metadata) -> str | None:
    """Why the field cannot hold the choice; None when it can, or when nobody knows."""
    known = _choices(field, metadata)
    if known is None or not known.shown:
        return None
    try:
        known.id_of(word)
    except HeldError:
        kind = field.type.value if field.type in (FieldType.STAGE, FieldType.PIPELINE) else "option"
        return f"{field.name} has no {kind} {word!r}{meant(word, known.shown.values())}"
    return None


def pin_word(scope: Scope, field: CrmField, word: str, *paths: str) -> None:
    """Pins the option that a word of the file stands for; warns where it is called otherwise now."""
    known = _choices(field, scope.metadata) if field.type in (FieldType.ENUM, FieldType.SET) else None
    if known is None:
        return
    with suppress(HeldError):
        option = known.id_of(word)
        scope.met.words.setdefault(field.key, {})[word] = option
        label = next(each.label for each in field.options if each.id == option)
        if choice.fold(label) != choice.fold(word):
            scope.warn(f"the option {word!r} of {field.name!r} is now named {label!r}", *paths)


def pin_options(scope: Scope, fields: Sequence[CrmField]) -> None:
    """Pins the options of fields. One that is gone is a move: records that held it are empty now by nobody's edit."""
    for field in fields:
        if field.type not in (FieldType.ENUM, FieldType.SET):
            continue
        before = scope.pins.options.get(scope.spec.object, {}).get(field.key, ())
        now = tuple(option.id for option in field.options) or before  # a field without any says nothing of them
        scope.met.options[field.key] = now
        scope.met.moves += not set(before) <= set(now)


def same_word(field: CrmField | None, value: Json, metadata: Metadata) -> str:
    """One spelling for everything that a filter takes for the same: id and label, 5 and 5.0, upper and lower case."""
    text = str(value)
    known = _choices(field, metadata) if field is not None else None
    if field is not None and field.type is FieldType.USER:
        known = choice.users(metadata)
    if known is not None:
        with suppress(HeldError):
            return text if text in known.shown else known.id_of(text)
    with suppress(ValueError):
        return str(float(text))
    return text.casefold()


def is_spelling(field: CrmField, text: str, metadata: Metadata) -> bool:
    """True for what a filter takes beyond the words of `values:`: ids, and names that several stages share."""
    known = _choices(field, metadata)
    shared = field.type is FieldType.STAGE and any(text == stage.name for stage in metadata.stages)
    return shared or (known is not None and text in known.shown)


def _choices(field: CrmField, metadata: Metadata) -> Choices | None:
    """What `values:`, `set:` and `only:` may name on this field; None where they may name anything."""
    match field.type:
        case FieldType.STAGE:
            return choice.stages(metadata)
        case FieldType.PIPELINE:
            return choice.pipelines(metadata)
        case FieldType.KEY:
            return choice.by_key(field.options)
        case FieldType.ENUM | FieldType.SET:
            return choice.by_label(field.options)
        case _:
            return None
