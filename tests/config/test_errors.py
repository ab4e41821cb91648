"""Every way to get a mapping set wrong, with the complaint that an admin reads: line, column, what would be right."""

from __future__ import annotations

import pytest

from tests.config.files import CONNECTION, FIELDS, HEAD, complaints


def _line(line: str) -> str:
    return f"{HEAD}fields:\n  - {line}\n"


MAPPINGS: dict[str, tuple[str, list[str]]] = {
    "unknown key": (
        HEAD + FIELDS + "conflct: crm\n",
        ["6:1: unknown key 'conflct'; did you mean 'conflict'?"],
    ),
    "unknown key of a line": (
        _line("{colum: email, crm: emails}"),
        ["6:6: unknown key 'colum'; did you mean 'column'?"],
    ),
    "unknown value": (
        "object: person\ntable: app.contacts\nkey: id\ndirection: bth\n" + FIELDS,
        ["4:12: unknown value 'bth'; did you mean 'both'?"],
    ),
    "key given twice": (
        HEAD + FIELDS + "key: uuid\n",
        ["6:1: 'key' is given twice; first in line 3"],
    ),
    "missing keys": (
        "object: person\n",
        ["1:1: 'direction' is missing", "1:1: 'fields' is missing", "1:1: 'key' is missing", "1:1: 'table' is missing"],
    ),
    "not a block": (
        "- object\n",
        ["1:1: expected a block of keys, found a list"],
    ),
    "empty file": (
        "# nothing\n",
        ["1:1: the file is empty"],
    ),
    "broken YAML": (
        HEAD + "fields: [\n",
        ["6:1: not YAML: while parsing a flow node, expected the node content, but found '<stream end>'"],
    ),
    "a tag": (
        HEAD + FIELDS + "keep: !!python/name:os.system [a]\n",
        ["6:7: the tag tag:yaml.org,2002:python/name:os.system is not used here"],
    ),
    "a key that is a list": (
        HEAD + FIELDS + "? [a, b]\n: c\n",
        ["6:3: a key must be a word"],
    ),
    "a template without quotes": (
        _line("{column: email, crm: {{ first_name }}}"),
        ["6:27: a key must be a word; a template stands in quotes"],
    ),
    "a template without quotes in a block": (
        HEAD + "fields:\n  - column: email\n    crm: {{ first_name }} {{ last_name }}\n",
        [
            (
                "7:27: not YAML: while parsing a block mapping, expected <block end>, but found '{'"
                "; a template stands in quotes"
            )
        ],
    ),
    "a tab": (
        HEAD + "fields:\n\t- {column: email, crm: emails}\n",
        [
            (
                "6:1: not YAML: while scanning for the next token, found character '\\t' that cannot start any token"
                "; indent with spaces"
            )
        ],
    ),
    "two documents": (
        HEAD + FIELDS + "---\nobject: person\ntable: app.contacts\nkey: id\ndirection: both\n",
        ["6:1: not YAML: expected a single document in the stream, but found another document"],
    ),
    "text that is a number": (
        "object: person\ntable: app.contacts\nkey: 12\ndirection: both\n" + FIELDS,
        ["3:6: expected text, found a number; put it in quotes if it is meant as text"],
    ),
    "text that is true": (
        "object: person\ntable: app.contacts\nkey: true\ndirection: both\n" + FIELDS,
        ["3:6: expected text, found true/false; put it in quotes if it is meant as text"],
    ),
    "text that is nothing": (
        "object: person\ntable: app.contacts\nkey:\ndirection: both\n" + FIELDS,
        ["3:1: expected text, found nothing"],
    ),
    "text that is empty": (
        "object: person\ntable: app.contacts\nkey: ' '\ndirection: both\n" + FIELDS,
        ["3:6: expected text, found an empty one"],
    ),
    "text that is a list": (
        "object: person\ntable: app.contacts\nkey: [id]\ndirection: both\n" + FIELDS,
        ["3:6: expected text, found a list"],
    ),
    "table without schema": (
        "object: person\ntable: contacts\nkey: id\ndirection: both\n" + FIELDS,
        ["2:8: expected schema.table, for example public.contacts"],
    ),
    "unknown object": (
        "object: persn\ntable: app.contacts\nkey: id\ndirection: both\n" + FIELDS,
        ["1:9: unknown value 'persn'; did you mean 'person'?"],
    ),
    "no lines": (
        HEAD + "fields: []\n",
        ["5:9: the list is empty"],
    ),
    "fields is no list": (
        HEAD + "fields: {email: emails}\n",
        ["5:9: expected a list, found a block of keys"],
    ),
    "line without crm": (
        _line("{column: email}"),
        ["6:5: 'crm' is missing"],
    ),
    "line without column": (
        _line("{crm: emails, direction: both}"),
        ["6:5: 'column' is missing"],
    ),
    "line of nothing": (
        _line("{direction: none}"),
        ["6:5: 'column' is missing"],
    ),
    "two templates": (
        _line('{column: "{{ a }}", crm: "{{ b }}"}'),
        ["6:30: only one side can be a template; a template is a source and needs a target"],
    ),
    "column template received": (
        _line('{column: "{{ a }}", crm: name, direction: receive}'),
        ["6:47: a template in 'column' is a source: this line can only send"],
    ),
    "column template both": (
        _line('{column: "{% if a %}x{% endif %}", crm: name, direction: both}'),
        ["6:62: a template in 'column' is a source: this line can only send"],
    ),
    "crm template sent": (
        _line('{column: name, crm: "{{ a }}", direction: send}'),
        ["6:47: a template in 'crm' is a source: this line can only receive"],
    ),
    "template in a list": (
        _line('{column: [a, "{{ b }}"], crm: name}'),
        ["6:18: a template cannot stand in a list"],
    ),
    "empty list of columns": (
        _line("{column: [], crm: name}"),
        ["6:14: the list is empty"],
    ),
    "unknown converter": (
        _line("{column: a, crm: name, as: tekst}"),
        ["6:32: unknown value 'tekst'; did you mean 'text'?"],
    ),
    "values is a list": (
        _line("{column: a, crm: name, values: [a, b]}"),
        ["6:36: expected a block of keys, found a list"],
    ),
    "value without label": (
        _line("{column: a, crm: name, values: {a: }}"),
        ["6:37: expected a value, found nothing"],
    ),
    "field by key, misspelt": (
        _line("{column: a, crm: {kee: abc}}"),
        ["6:22: 'key' is missing", "6:23: unknown key 'kee'; did you mean 'key'?"],
    ),
    "match is a word": (
        HEAD + "match: email\n" + FIELDS,
        ["5:8: expected a list, found text"],
    ),
    "match with an empty key": (
        HEAD + "match: [email, []]\n" + FIELDS,
        ["5:16: the list is empty"],
    ),
    "deletes.receive unknown": (
        HEAD + "deletes: {receive: remove}\n" + FIELDS,
        ["5:20: unknown value 'remove'; known: delete, none, unlink"],
    ),
    "deletes.receive without set": (
        HEAD + "deletes: {receive: {archived_at: now}}\n" + FIELDS,
        ["5:20: 'set' is missing", "5:21: unknown key 'archived_at'; known: set"],
    ),
    "deletes.send set": (
        HEAD + "deletes: {send: {set: {a: now}}}\n" + FIELDS,
        ["5:17: expected one of delete, unlink, none, found a block of keys"],
    ),
    "only with an unknown side": (
        HEAD + "only: {recieve: {org_id: present}}\n" + FIELDS,
        ["5:8: unknown key 'recieve'; did you mean 'receive'?"],
    ),
    "only with nothing": (
        HEAD + "only: {receive: {org_id: }}\n" + FIELDS,
        ["5:18: expected a value, found nothing; write absent for a field without a value"],
    ),
    "only with an empty list": (
        HEAD + "only: {receive: {org_id: []}}\n" + FIELDS,
        ["5:26: the list is empty"],
    ),
    "only with a double comparison": (
        HEAD + "only: {send: {a: {not: x, from: 1}}}\n" + FIELDS,
        ["5:27: unknown key 'from'; known: not"],
    ),
    "only with an unknown comparison": (
        HEAD + "only: {send: {a: {less: 1}}}\n" + FIELDS,
        ["5:18: expected {not: x}, {from: a, to: b} or {in: MAPPING}"],
    ),
    "only not present": (
        HEAD + "only: {send: {a: {not: present}}}\n" + FIELDS,
        ["5:24: write absent instead of {not: present}"],
    ),
    "not supported yet: referenced_by": (
        HEAD + "only: {receive: {referenced_by: [deal]}}\n" + FIELDS,
        ["5:18: 'referenced_by' is not supported yet"],
    ),
    "not supported yet: brings": (
        HEAD + "brings: [note]\n" + FIELDS,
        ["5:1: 'brings' is not supported yet"],
    ),
    "not supported yet: history": (
        HEAD + "history: true\n" + FIELDS,
        ["5:1: 'history' is not supported yet"],
    ),
    "backfill unknown": (
        HEAD + "backfill: some\n" + FIELDS,
        ["5:11: unknown value 'some'; known: all, none"],
    ),
    "backfill since no date": (
        HEAD + "backfill: {since: 2025-02-30}\n" + FIELDS,
        ["5:19: expected a date such as 2025-01-31, found '2025-02-30'"],
    ),
    "set of an unknown side": (
        HEAD + "set: {pipedrive: {a: 1}}\n" + FIELDS,
        ["5:7: unknown key 'pipedrive'; known: app, crm"],
    ),
    "set to a block": (
        HEAD + "set: {crm: {a: {b: 1}}}\n" + FIELDS,
        ["5:16: expected a value, found a block of keys"],
    ),
    "brake beyond 100 %": (
        HEAD + "brake: {records: 10, percent: 101}\n" + FIELDS,
        ["5:31: must be from 0 to 100"],
    ),
    "brake below zero": (
        HEAD + "brake: {records: -1}\n" + FIELDS,
        ["5:18: must be at least 0"],
    ),
    "name with a slash": (
        HEAD + "name: a/b\n" + FIELDS,
        ["5:7: the name of a mapping holds no '/'"],
    ),
    "number too large": (
        HEAD + "brake: {records: 10000000000000000}\n" + FIELDS,
        ["5:18: expected a whole number, found '10000000000000000'"],
    ),
}
CONNECTIONS: dict[str, tuple[str, list[str]]] = {
    "several at once": (
        "crm: pipedriv\nname: my firm\ncredentials: {api_tokn: env:X}\nwebhooks: on\n",
        [
            "1:6: unknown value 'pipedriv'; did you mean 'pipedrive'?",
            "2:7: the name 'my firm' may hold letters, digits, '_' and '-' only",
            "3:14: 'api_token' is missing",
            "3:15: unknown key 'api_tokn'; did you mean 'api_token'?",
            "4:11: unknown value 'on'; known: auto, manual, off",
        ],
    ),
    "unknown key": (
        CONNECTION + "swep: {}\n",
        ["3:1: unknown key 'swep'; did you mean 'sweep'?"],
    ),
    "missing keys": (
        "name: acme\n",
        ["1:1: 'credentials' is missing", "1:1: 'crm' is missing"],
    ),
    "oauth": (
        "crm: pipedrive\ncredentials: {oauth: {client_id: a, client_secret: b}}\n",
        ["2:14: 'api_token' is missing", "2:15: 'oauth' is not supported yet"],
    ),
    "no credential": (
        "crm: pipedrive\ncredentials: {}\n",
        ["2:14: 'api_token' is missing"],
    ),
    "bad name": (
        CONNECTION + "name: acme corp\n",
        ["3:7: the name 'acme corp' may hold letters, digits, '_' and '-' only"],
    ),
    "duration": (
        CONNECTION + "sweep: {recent: 3 seconds, full: 0s}\n",
        [
            "3:17: expected a duration such as 3s, 5m, 24h or 7d, found '3 seconds'",
            "3:34: expected a duration such as 3s, 5m, 24h or 7d, found '0s'",
        ],
    ),
    "duration number": (
        CONNECTION + "sweep: {recent: 3, full: [1h]}\n",
        [
            "3:17: expected a duration such as 3s, 5m, 24h or 7d, found '3'",
            "3:26: expected a duration such as 3s, 5m, 24h or 7d, found a list",
        ],
    ),
    "share": (
        CONNECTION + "budget: {reserve: 120%}\n",
        ["3:19: expected a percentage such as 20%, found '120%'"],
    ),
    "share without sign": (
        CONNECTION + "budget: {daily: 0, reserve: 20}\n",
        ["3:17: must be at least 1", "3:29: expected a percentage such as 20%, found '20'"],
    ),
    "access": (
        CONNECTION + "access: readonly\n",
        ["3:9: unknown value 'readonly'; did you mean 'read_only'?"],
    ),
    "webhooks": (
        CONNECTION + "webhooks: on\n",
        ["3:11: unknown value 'on'; known: auto, manual, off"],
    ),
    "identity": (
        CONNECTION + "identity_field:\n",
        ["3:1: expected text, found nothing"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), MAPPINGS.values(), ids=MAPPINGS)
def test_a_mapping_file_is_refused_where_it_is_wrong(text: str, expected: list[str]) -> None:
    """Each mistake is named at the line and column of the offending key or value."""
    assert complaints({"connection.yaml": CONNECTION, "contact.yaml": text}) == [f"contact.yaml:{e}" for e in expected]


@pytest.mark.parametrize(("text", "expected"), CONNECTIONS.values(), ids=CONNECTIONS)
def test_connection_yaml_is_refused_where_it_is_wrong(text: str, expected: list[str]) -> None:
    """The same for the connection."""
    files = {"connection.yaml": text, "contact.yaml": HEAD + FIELDS}
    assert complaints(files) == [f"connection.yaml:{e}" for e in expected]


def test_every_mistake_of_every_file_is_reported_at_once() -> None:
    """Nobody mends one mistake only to learn of the next."""
    files = {
        "connection.yaml": "crm: pipedrive\naccess: readonly\n",
        "a.yaml": HEAD + "conflct: crm\non_leave: drop\nfields: [{colum: a}, {column: b, crm: {}}]\n",
        "b.yaml": "[",
    }
    assert complaints(files) == [
        "a.yaml:5:1: unknown key 'conflct'; did you mean 'conflict'?",
        "a.yaml:6:11: unknown value 'drop'; known: delete, freeze, unlink",
        "a.yaml:7:11: unknown key 'colum'; did you mean 'column'?",
        "a.yaml:7:39: 'key' is missing",
        "b.yaml:1:2: not YAML: while parsing a flow node, expected the node content, but found '<stream end>'",
        "connection.yaml:1:1: 'credentials' is missing",
        "connection.yaml:2:9: unknown value 'readonly'; did you mean 'read_only'?",
    ]


def test_a_set_without_connection_yaml_says_what_is_missing() -> None:
    """The directory may be the wrong one."""
    assert complaints({"a.yaml": HEAD + FIELDS}) == [
        "connection.yaml:1:1: the file is missing: it names the CRM and the credentials"
    ]


def test_a_directory_name_that_cannot_name_a_connection_is_refused() -> None:
    """The name appears in URLs and metrics; the advice is to write one."""
    assert complaints({"connection.yaml": CONNECTION}, name="größe x") == [
        "connection.yaml:1:1: the name 'größe x' may hold letters, digits, '_' and '-' only (the directory's name); set 'name'"
    ]


def test_a_yml_file_is_not_silently_ignored() -> None:
    """Somebody believes in it."""
    assert complaints({"connection.yaml": CONNECTION, "a.yml": HEAD + FIELDS}) == [
        "a.yml:1:1: mapping files end in .yaml"
    ]


def test_two_mappings_of_one_name_are_refused() -> None:
    """The place is the name where it is written."""
    files = {"connection.yaml": CONNECTION, "a.yaml": HEAD + FIELDS, "b.yaml": HEAD + FIELDS + "name: a\n"}
    assert complaints(files) == ["b.yaml:6:7: the mapping name 'a' is already used in a.yaml"]
