"""`fields:`: one line per field rule."""

from __future__ import annotations

from typing import Final

from ruamel.yaml.nodes import Node

from connector.config.nodes import MistakeError, wrong
from connector.config.section import Found, Key, section
from connector.config.shapes import LABEL, TEXT, Shape, by_kind, choice, list_of, table_of, word
from connector.core.convert.fits import NAMES
from connector.core.mapping import Conflict, Direction, Empty, FieldName, LineSpec, Problem, Template, TooLong
from connector.core.template import is_template

Columns = tuple[str, ...] | Template
Fields = tuple[FieldName, ...] | Template


def _name(node: Node) -> str:
    name = TEXT.read(node)
    if is_template(name):
        raise wrong(node, "a template cannot stand in a list")
    return name


_NAMES: Final = list_of(Shape(_name, TEXT.schema), least=1)
_BY_KEY: Final = Key("key", TEXT, "Key of a custom field, where two share a name.", required=True)
_FIELD_BY_KEY: Final = section((_BY_KEY,), lambda found: FieldName(found.must(_BY_KEY), by_key=True))
_FIELD: Final = by_kind(scalar=Shape(_name, TEXT.schema).to(FieldName), block=_FIELD_BY_KEY)


def _columns(text: str) -> Columns:
    return Template(text) if is_template(text) else (text,)


def _fields(text: str) -> Fields:
    return Template(text) if is_template(text) else (FieldName(text),)


def _distinct(names: tuple[str, ...]) -> Columns:
    return names


_COLUMN: Final[Key[Columns]] = Key(
    "column", by_kind(scalar=TEXT.to(_columns), items=_NAMES.to(_distinct)), "Column, list of columns, or template."
)
_CRM: Final[Key[Fields]] = Key(
    "crm",
    by_kind(
        scalar=TEXT.to(_fields),
        block=_FIELD_BY_KEY.to(lambda field: (field,)),
        items=list_of(_FIELD, least=1).to(lambda fields: fields),
    ),
    "CRM field, {key: …}, list of fields, or template.",
)
DIRECTION: Final = choice(Direction)
CONFLICT: Final = Key("conflict", choice(Conflict), "Who wins when both sides changed.")
_DIRECTION: Final = Key("direction", DIRECTION, "Which way this line flows, named from the app's side.")
_AS: Final = Key("as", word(NAMES), "Converter; inferred from both types when omitted.")
_VALUES: Final = Key("values", table_of(LABEL), "App value: CRM label or key.")
_LINK: Final = Key("link", TEXT, "Mapping of this set that the reference goes through.")
_EMPTY: Final = Key("empty", choice(Empty), "What an empty text means.")
_TOO_LONG: Final = Key("too_long", choice(TooLong), "What happens to a text too long for its target.")


def _direction(found: Found) -> Direction | None:
    """The direction as written, or the only one that a template allows."""
    written = found.get(_DIRECTION)
    column, crm = found.get(_COLUMN), found.get(_CRM)
    if isinstance(column, Template) and isinstance(crm, Template):
        raise wrong(found.node(_CRM), "only one side can be a template; a template is a source and needs a target")
    if not isinstance(column, Template) and not isinstance(crm, Template):
        return written
    forced, side = (Direction.SEND, "column") if isinstance(column, Template) else (Direction.RECEIVE, "crm")
    if written not in (None, forced, Direction.NONE):
        raise wrong(found.node(_DIRECTION), f"a template in {side!r} is a source: this line can only {forced}")
    return written or forced


def _line(found: Found) -> LineSpec:
    direction = _direction(found)
    column, crm = found.get(_COLUMN), found.get(_CRM)
    unused = direction is Direction.NONE and (column or crm) is not None
    if not unused and (column is None or crm is None):
        raise MistakeError(Problem(found.at, f"{'column' if column is None else 'crm'!r} is missing"))
    return LineSpec(
        at=found.at,
        column=() if column is None else column,
        crm=crm,
        direction=direction,
        converter=found.get(_AS),
        values=found.of(_VALUES, {}),
        link=found.get(_LINK),
        conflict=found.get(CONFLICT),
        empty=found.of(_EMPTY, Empty.KEEP),
        too_long=found.of(_TOO_LONG, TooLong.HOLD),
    )


_WHOLE: Final = {"required": ["column", "crm"]}
_UNUSED: Final = {
    "required": ["direction"],
    "properties": {"direction": {"const": "none"}},
    "anyOf": [{"required": ["column"]}, {"required": ["crm"]}],
}
LINE: Final = section(
    (_COLUMN, _CRM, _DIRECTION, _AS, _VALUES, _LINK, CONFLICT, _EMPTY, _TOO_LONG),
    _line,
    extra={"anyOf": [_WHOLE, _UNUSED]},
)
