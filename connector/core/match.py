"""Match keys: by what an unlinked row and an unlinked record are recognised as one.

A key is one value per part of a match rule, compared canonically; null in any part makes no key. A link line is
compared by CRM id on both sides. `SQL` finds candidate rows of the app; they are compared again with `app_keys`.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import product
from typing import Final, Literal, NamedTuple

import phonenumbers

from connector.core.convert import columns
from connector.core.convert.contact import elements
from connector.core.convert.decimals import decimal, spell
from connector.core.line import BoundMapping, HeldError, Line, Refs, UnresolvedError
from connector.core.model import ABSENT, Json
from connector.core.schema import FieldType

Kind = Literal["email", "phone", "text", "number", "exact"]
_Values = Callable[[Line], list[Json]]

SQL: Final[Mapping[Kind, str]] = {
    "email": r"lower(btrim({}::text, E' \t\n\r\f\v'))",
    "phone": r"right(regexp_replace({}::text, '[^0-9]+', '', 'g'), 6)",
    "text": r"lower(btrim(regexp_replace({}::text, '[ \t\n\r\f\v]+', ' ', 'g')))",
    "number": r"CASE WHEN {0}::text ~ '^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{{1,3}})?\s*$' "
    r"THEN trim_scale({0}::text::numeric)::text END",
    "exact": "{}::text",
}
"""Expressions for `str.format` with a quoted column; `sql_keys` foretells their results. A phone is found by its last
six digits."""

_BLANK: Final = r"[^\S\x1c-\x1f]"
_BLANKS: Final = re.compile(rf"{_BLANK}+")
_EDGES: Final = re.compile(rf"^{_BLANK}+|{_BLANK}+$")
_NO_DIGIT: Final = re.compile(r"[^0-9]")
_LETTER: Final = re.compile(r"[^\W\d_]")
_TRUNK_ZERO: Final = re.compile(r"\+[1-9][0-9]{0,2}0")
_WORD_START: Final = re.compile(r"\b[^\W_]")
_PLUS: Final = re.compile(r"\W*?[+\uff0b]")
_PHONE_TAIL: Final = 6
_KINDS: Final[Mapping[FieldType, Kind]] = {
    FieldType.EMAILS: "email",
    FieldType.PHONES: "phone",
    FieldType.PHONE: "phone",
    FieldType.INTEGER: "number",
    FieldType.NUMBER: "number",
    FieldType.MONEY: "number",
    FieldType.ID: "exact",
}


class MatchKey(NamedTuple):
    """One value of the rule with this index. Equal keys of a row and of a record make them candidates."""

    rule: int
    parts: tuple[str, ...]
    """The canonical texts, one for each line of the rule."""


def digest(mappings: Iterable[BoundMapping]) -> str:
    """What the match keys of an object's records depend on, given the mappings of the object."""
    rules = [(m.name, [[line.rule for line in rule] for rule in m.match]) for m in mappings if m.match and m.hears]
    return sha256(json.dumps(rules).encode()).hexdigest()[:16]


def canonical(kind: Kind, value: Json) -> str | None:
    """The text by which values of the kind are compared; None when there is nothing to compare.

    email: NFC, no case, no blanks around · phone: digits, see `_phone` · text: NFC, no case, single blanks · number:
    digits without trailing zeros · exact: as it is. Lists and objects are not compared.
    """
    if value is None or isinstance(value, list | dict):
        return None
    text = columns.spelled(value)
    match kind:
        case "email":
            return _folded(_trimmed(text)) or None
        case "phone":
            return _phone(text)
        case "text":
            return _folded(_trimmed(_BLANKS.sub(" ", text))) or None
        case "number":
            return _number(text)
        case "exact":
            return text or None


def canonical_kind(line: Line) -> Kind:
    """How the values of a line are compared."""
    if line.link is not None:
        return "exact"
    return _KINDS.get(line.fields[0].type, "text") if len(line.fields) == 1 else "text"


def sql_kind(line: Line) -> Kind | None:
    """The entry of SQL that searches the app's rows by this line; None where no expression of one column can.

    A part of a link line is a CRM id: to search, turn it into the row's key first.
    """
    return canonical_kind(line) if len(line.columns) == 1 and not line.template else None


def sql_keys(kind: Kind, part: str) -> tuple[str, ...]:
    """What the SQL expression can yield for a column whose canonical text is `part`.

    Several, since a database's `lower` may leave capitals beyond ASCII (locale C): none, at the starts of words, all.
    """
    if kind == "phone":
        return (_tail(part),)
    if kind == "exact" or part.isascii():
        return (part,)
    starts = _WORD_START.sub(lambda found: _capital(found[0]), part)
    return tuple(dict.fromkeys((part, starts, "".join(_capital(character) for character in part))))


def app_keys(mapping: BoundMapping, columns: Mapping[str, str | None], refs: Refs) -> tuple[MatchKey, ...]:
    """The keys of a row, by rule. A rule with a reference that is half open gives none yet."""
    return tuple(_keys(mapping, lambda line: _app_values(line, columns, refs)))


def crm_keys(mapping: BoundMapping, fields: Mapping[str, Json], record_id: str) -> tuple[MatchKey, ...]:
    """The keys of a record, by rule; all its e-mails and phones count. Needs no references: those compare by id."""
    return tuple(_keys(mapping, lambda line: _crm_values(line, fields, record_id)))


def _keys(mapping: BoundMapping, values: _Values) -> Iterator[MatchKey]:
    for rule, lines in enumerate(mapping.match):
        for parts in product(*(_canonical_values(line, values(line)) for line in lines)):
            yield MatchKey(rule, parts)


def _canonical_values(line: Line, values: list[Json]) -> list[str]:
    found = (canonical(canonical_kind(line), value) for value in values)
    return list(dict.fromkeys(text for text in found if text is not None))


def _app_values(line: Line, row: Mapping[str, str | None], refs: Refs) -> list[Json]:
    """The app's values of a line; contacts, references and ids in the CRM's spelling, the rest in the app's."""
    value = line.converter.read_app(row)
    if line.link is None and not _compared_as_crm(line):
        return [value]
    try:
        sent = line.converter.to_crm(value, refs)
    except (HeldError, UnresolvedError):
        return []
    return sent if isinstance(sent, list) else [sent]


def _crm_values(line: Line, fields: Mapping[str, Json], record_id: str) -> list[Json]:
    field = line.fields[0]
    if field.type is FieldType.ID:
        return [record_id]
    if field.type in (FieldType.EMAILS, FieldType.PHONES):
        return [item["value"] for item in elements(fields.get(field.key))]
    value = line.converter.read_crm(fields)
    if value is ABSENT:
        return []
    try:
        return [value if line.link is not None else line.converter.to_app(value, Refs())]
    except HeldError:
        return []


def _compared_as_crm(line: Line) -> bool:
    return bool(line.fields) and line.fields[0].type in (FieldType.EMAILS, FieldType.PHONES, FieldType.ID)


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _trimmed(text: str) -> str:
    return text if text == text.strip() else _EDGES.sub("", text)


def _number(text: str) -> str | None:
    try:
        exact = spell(decimal(text))
    except HeldError:
        return None
    return exact.rstrip("0").rstrip(".") if "." in exact else exact


def _phone(text: str) -> str | None:
    """E.164 when the number says its country (+ or 00), else its digits: a national number never equals another's.

    With letters in it (an extension, a word to dial) only the same text is the same number. What is so short that E.164
    would change its last digits is no such number: rows are found by those.
    """
    digits = "".join(str(unicodedata.decimal(character)) for character in text if character.isdecimal())
    if _LETTER.search(text):
        return _folded(_BLANKS.sub("", text)) if digits else None
    if not _PLUS.match(text) and not digits.startswith("00"):
        return digits or None
    number = _international(digits if _PLUS.match(text) else digits[2:])
    return number if number is None or _tail(number) == _tail(digits) else digits


def _tail(number: str) -> str:
    return _NO_DIGIT.sub("", number)[-_PHONE_TAIL:]


def _international(digits: str) -> str | None:
    """E.164 of country code and number; a trunk zero behind the country code ('+49 (0)30') is dropped."""
    number = f"+{digits}"
    if _TRUNK_ZERO.match(number):
        try:
            parsed = phonenumbers.parse(number)
        except phonenumbers.NumberParseException:
            return number
        return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return number if digits else None


def _capital(character: str) -> str:
    return character if character.isascii() or len(character.upper()) > 1 else character.upper()
