"""What a valid set means: defaults, forms, positions, warnings, version."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.config.loader import load, load_set, parse_set
from connector.core.errors import MappingSetError
from connector.core.mapping import (
    Access,
    Backfill,
    BrakeSpec,
    BudgetSpec,
    Conflict,
    DeletePolicy,
    Deletes,
    Direction,
    Empty,
    FieldName,
    Keyword,
    OnLeave,
    Position,
    Rollout,
    SweepSpec,
    Template,
    TooLong,
    Webhooks,
)
from connector.core.mapping import (
    Test as Comparison,
)
from tests.config.files import CONNECTION, FIELDS, HEAD, mapping, parsed


def test_what_is_left_out_has_the_documented_defaults() -> None:
    """The smallest set."""
    loaded = parsed(HEAD + FIELDS)
    connection, spec = loaded.set.connection, loaded.set.mappings[0]
    assert (connection.name, connection.url, connection.access) == ("acme", None, Access.READ_WRITE)
    assert (connection.sweep, connection.brake, connection.budget) == (SweepSpec(), BrakeSpec(200, 5.0), BudgetSpec())
    assert (connection.identity_field, connection.webhooks) == ("Connector ID", Webhooks.AUTO)
    assert (spec.name, spec.schema, spec.table, spec.key) == ("contact", "app", "contacts", "id")
    assert (spec.conflict, spec.on_leave, spec.rollout) == (Conflict.LAST_UPDATED, OnLeave.FREEZE, Rollout.FULL)
    assert spec.deletes == Deletes(DeletePolicy.UNLINK, DeletePolicy.NONE)
    assert spec.backfill == Backfill(all=True)
    assert not loaded.warnings


def test_connection_forms() -> None:
    """Durations, shares, counts and the keywords."""
    text = CONNECTION + (
        "name: acme-2_x\nurl: env:URL\naccess: read_only\nsweep: {recent: 3s, full: 2d}\n"
        "brake: {records: 0, percent: 2.5}\nbudget: {daily: 5000, reserve: 12.5%}\n"
        "identity_field: none\nwebhooks: off\n"
    )
    found = parsed(HEAD + FIELDS, connection=text).set.connection
    assert (found.name, found.url, found.access) == ("acme-2_x", "env:URL", Access.READ_ONLY)
    assert found.sweep == SweepSpec(recent=3.0, full=172_800.0)
    assert found.brake == BrakeSpec(0, 2.5)
    assert found.budget == BudgetSpec(5000, 0.125)
    assert (found.identity_field, found.webhooks) == (None, Webhooks.OFF)


def test_auto_is_a_keyword_and_quoted_none_is_a_name() -> None:
    """Only unquoted words have a meaning of their own."""
    text = CONNECTION + "sweep: {recent: auto}\nbudget: {daily: auto}\nidentity_field: 'none'\n"
    found = parsed(HEAD + FIELDS, connection=text).set.connection
    assert (found.sweep.recent, found.budget.daily, found.identity_field) == (None, None, "none")


def test_a_table_is_split_at_the_first_dot_and_taken_literally() -> None:
    """Case, spaces, dots and unicode need no quotes."""
    spec = mapping(HEAD.replace("app.contacts", "App Größe.My.Table").replace("key: id", "key: Order") + FIELDS)
    assert (spec.schema, spec.table, spec.key) == ("App Größe", "My.Table", "Order")


def test_constants_know_keywords_from_quoted_text() -> None:
    """`now` and `null` unquoted are keywords, quoted they are text; other scalars keep their type."""
    spec = mapping(
        HEAD
        + "set:\n  crm: {a: now, b: 'now', c: null, d: 'null', e: true, f: 7, g: 1.5, h: [x, 2], i: 2025-01-31}\n"
        + "  app: {s: ~}\n"
        + FIELDS
    )
    assert spec.set_crm["a"] is Keyword.NOW
    assert spec.set_crm["b"] == "now"
    assert spec.set_crm["b"] is not Keyword.NOW
    assert spec.set_crm["c"] is Keyword.NULL
    assert {name: spec.set_crm[name] for name in "defghi"} == {
        "d": "null", "e": True, "f": 7, "g": 1.5, "h": ["x", 2], "i": "2025-01-31",
    }  # fmt: skip
    assert spec.set_app == {"s": Keyword.NULL}


def test_deletes_in_their_forms() -> None:
    """A policy, or columns to set."""
    spec = mapping(HEAD + "deletes: {receive: {set: {archived_at: now}}, send: delete}\n" + FIELDS)
    assert spec.deletes == Deletes(DeletePolicy.SET, DeletePolicy.DELETE, {"archived_at": Keyword.NOW})
    assert mapping(HEAD + "deletes: {receive: none}\n" + FIELDS).deletes.receive is DeletePolicy.NONE


def test_conditions_in_their_forms() -> None:
    """Scalar, list, present, absent, not, between, in; quoted keywords are text."""
    spec = mapping(
        HEAD
        + "only:\n  receive: {a: present, b: absent, c: 'present', d: [x, 1], e: {not: x}, f: {not: [x, y]}}\n"
        + "  send: {g: {from: 1}, h: {from: 2025-01-01, to: 2025-12-31}, i: {in: company}, j: true, k: 2.5}\n"
        + FIELDS
    )
    found = {c.name: (c.test, c.operands) for c in (*spec.only_receive, *spec.only_send)}
    assert found == {
        "a": (Comparison.PRESENT, ()),
        "b": (Comparison.ABSENT, ()),
        "c": (Comparison.ANY_OF, ("present",)),
        "d": (Comparison.ANY_OF, ("x", 1)),
        "e": (Comparison.NOT, ("x",)),
        "f": (Comparison.NOT, ("x", "y")),
        "g": (Comparison.BETWEEN, (1, None)),
        "h": (Comparison.BETWEEN, ("2025-01-01", "2025-12-31")),
        "i": (Comparison.IN, ("company",)),
        "j": (Comparison.ANY_OF, (True,)),
        "k": (Comparison.ANY_OF, (2.5,)),
    }


def test_a_line_with_everything() -> None:
    """Lists, keys, values whatever their YAML type."""
    spec = mapping(
        HEAD
        + "fields:\n"
        + "  - {column: [a, b], crm: [x, {key: abc}], direction: send, as: money, values: {1: Gold, true: 2},\n"
        + "     link: company, conflict: review, empty: clear, too_long: cut}\n"
    )
    line = spec.lines[0]
    assert (line.column, line.crm) == (("a", "b"), (FieldName("x"), FieldName("abc", by_key=True)))
    assert (line.direction, line.converter, line.values) == (Direction.SEND, "money", {"1": "Gold", "true": "2"})
    assert (line.link, line.conflict, line.empty, line.too_long) == (
        "company", Conflict.REVIEW, Empty.CLEAR, TooLong.CUT,
    )  # fmt: skip


def test_a_template_is_a_source_and_forces_the_direction() -> None:
    """A column template sends, a CRM template receives; `none` silences either."""
    spec = mapping(
        HEAD
        + "fields:\n"
        + '  - {column: "{{ a }} call", crm: subject}\n'
        + '  - {column: full_name, crm: "{% if a %}{{ a }}{% endif %}"}\n'
        + '  - {column: full_name, crm: "{{ a }}", direction: none}\n'
    )
    assert [line.direction for line in spec.lines] == [Direction.SEND, Direction.RECEIVE, Direction.NONE]
    assert spec.lines[0].column == Template("{{ a }} call")
    assert spec.lines[1].crm == Template("{% if a %}{{ a }}{% endif %}")


def test_a_line_of_direction_none_needs_one_side_only() -> None:
    """It documents what is left alone."""
    spec = mapping(HEAD + "fields: [{column: a, direction: none}, {crm: b, direction: none}]\n")
    assert [(line.column, line.crm) for line in spec.lines] == [(("a",), None), ((), (FieldName("b"),))]


@pytest.mark.parametrize(
    ("direction", "written", "expected"),
    [
        ("send", "", Backfill(all=False)),
        ("both", "", Backfill(all=True)),
        ("receive", "", Backfill(all=True)),
        ("send", "backfill: all\n", Backfill(all=True)),
        ("both", "backfill: none\n", Backfill(all=False)),
        ("send", "backfill: {since: 2025-01-31}\n", Backfill(all=False, since="2025-01-31")),
    ],
)
def test_old_rows_of_send_only_mappings_stay_at_home_by_default(
    direction: str, written: str, expected: Backfill
) -> None:
    """Everything else is sent by default."""
    assert mapping(HEAD.replace("both", direction) + written + FIELDS).backfill == expected


def test_match_takes_columns_and_lists_of_columns() -> None:
    """Each item is one key."""
    assert mapping(HEAD + "match: [email, [last_name, phone]]\n" + FIELDS).match == (("email",), ("last_name", "phone"))


def test_positions_of_what_is_named_are_kept_for_later_complaints() -> None:
    """Keys of blocks at the key, values of a line at the value, items at the item."""
    spec = mapping(
        HEAD + "match: [email]\nset: {crm: {type: call}}\nfields:\n  - {column: [a, b], crm: x, values: {k: v}}\n"
    )
    places = {path: (at.line, at.column) for path, at in spec.keys.items()}
    assert places["table"] == (2, 8)
    assert places["match.0"] == (5, 9)
    assert places["set.crm.type"] == (6, 13)
    assert places["fields.0"] == (8, 5)
    assert places["fields.0.column.1"] == (8, 18)
    assert places["fields.0.values.k"] == (8, 42)
    assert spec.lines[0].at == Position("contact.yaml", 8, 5)


def test_a_secret_in_the_file_is_a_warning() -> None:
    """It works, and somebody should move it; the value is not repeated."""
    loaded = parsed(HEAD + FIELDS, connection="crm: pipedrive\ncredentials: {api_token: s3cret}\n")
    assert [str(each) for each in loaded.warnings] == [
        "connection.yaml:2:26: warning: the secret 'api_token' stands in the file; write env:NAME or file:/path"
    ]
    assert "s3cret" not in repr(loaded.set)


def test_a_set_without_mappings_is_a_warning() -> None:
    """It can be connected and checked, but syncs nothing."""
    loaded = parse_set({"connection.yaml": CONNECTION}, name="acme")
    assert [each.warning for each in loaded.warnings] == [True]


def test_aliases_are_allowed() -> None:
    """Two lines may share a values map."""
    spec = mapping(HEAD + "fields:\n  - {column: a, crm: b, values: &v {x: y}}\n  - {column: c, crm: d, values: *v}\n")
    assert spec.lines[0].values == spec.lines[1].values == {"x": "y"}


def test_the_version_follows_content_and_names() -> None:
    """Any change of a file or its name is another version; order and place are not."""
    files = {"connection.yaml": CONNECTION, "contact.yaml": HEAD + FIELDS}
    version = parse_set(files, name="acme").set.version
    assert parse_set(dict(reversed(files.items())), name="acme", where="elsewhere").set.version == version
    assert parse_set({**files, "contact.yaml": HEAD + FIELDS + "\n"}, name="acme").set.version != version
    assert parse_set({"connection.yaml": CONNECTION, "b.yaml": HEAD + FIELDS}, name="acme").set.version != version


def test_a_directory_is_read_by_name_with_paths_in_positions(tmp_path: Path) -> None:
    """Mappings in file order; hidden files and everything that is not YAML are no part of the set."""
    for name, content in {
        "connection.yaml": CONNECTION,
        "b.yaml": HEAD + FIELDS,
        "a.yaml": "\ufeff" + HEAD + FIELDS,
        ".draft.yaml": "[",
        "tables.sql": "select 1",
    }.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    found = load_set(tmp_path)
    assert [spec.name for spec in found.mappings] == ["a", "b"]
    assert found.connection.name == tmp_path.name
    assert found.mappings[0].at == Position(str(tmp_path / "a.yaml"), 1, 1)
    assert not load(tmp_path).warnings


def test_what_cannot_be_read_is_a_problem_of_the_set(tmp_path: Path) -> None:
    """A missing directory and bytes that are no text."""
    with pytest.raises(MappingSetError, match="cannot read the directory"):
        load_set(tmp_path / "nowhere")
    (tmp_path / "connection.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(MappingSetError, match="not UTF-8"):
        load_set(tmp_path)
