"""Files that mean ill: a set or problems with a place, and never more time or memory than a file of this size may take."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.app.sets import account_of, load_directory
from connector.config.loader import load, parse_set
from connector.config.nodes import DEEPEST, LARGEST
from connector.config.references import UnresolvedReferenceError, resolve
from connector.core.errors import MappingSetError
from connector.core.mapping import Problem
from tests.config.files import CONNECTION, FIELDS, HEAD

LAUGHS = "a: &a0 [x, x, x, x]\n" + "".join(f"b{n}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(20))
HOSTILE = {
    "billion laughs": LAUGHS,
    "billion laughs in a block": HEAD + FIELDS + "only:\n  receive:\n    " + LAUGHS.replace("\n", "\n    ").rstrip(" "),
    "an object of Python": "object: !!python/object/apply:os.system ['true']\n",
    "a tag of our own": HEAD + FIELDS + "name: !secret x\n",
    "merge keys": HEAD + "<<: {direction: both}\n" + FIELDS,
    "a key given twice": HEAD + FIELDS + "key: x\n",
    "deep flow": "a: " + "[" * 20_000,
    "deep flow, closed": "[" * 20_000 + "]" * 20_000,
    "deep blocks": "".join(" " * depth + "a:\n" for depth in range(400)),
    "a list of lists": "- " * 20_000,
    "too large": HEAD + FIELDS + "#" * LARGEST,
    "no number": HEAD + FIELDS + "brake: {records: .inf, percent: .nan}\n",
    "a huge number": HEAD + FIELDS + "brake: {records: " + "9" * 5_000 + "}\n",
    "a huge hexadecimal": HEAD + FIELDS + "brake: {records: 0x" + "f" * 5_000 + "}\n",
    "octal": HEAD + FIELDS + "brake: {records: 0o17}\n",
    "yes for all": HEAD + FIELDS + "backfill: yes\n",
    "a moment for a day": HEAD + FIELDS + "backfill: {since: 2001-12-14t21:59:43.10-05:00}\n",
    "no day": HEAD + FIELDS + "backfill: {since: 2001-99-99}\n",
    "two documents": HEAD + FIELDS + "---\n" + HEAD,
    "NUL": HEAD + FIELDS + "name: a\0b\n",
    "control characters": HEAD + FIELDS + "name: a\x1bb\n",
    "tabs": HEAD + "fields:\n\t- {column: a, crm: b}\n",
    "no end": HEAD + 'fields: "' + "x" * 1_000,
    "nothing": "",
    "comments only": "#\n" * 1_000,
}


def _problems(mapping: str) -> tuple[Problem, ...]:
    try:
        parse_set({"connection.yaml": CONNECTION, "a.yaml": mapping}, name="acme")
    except MappingSetError as error:
        return error.problems
    return ()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_a_problem_with_a_place(name: str) -> None:
    """Brackets within brackets took minutes, a large file any time it liked."""
    problems = _problems(HOSTILE[name])
    assert problems
    assert all(problem.at.line >= 1 and problem.at.column >= 1 and problem.message for problem in problems)


def test_what_only_looks_odd_is_a_set() -> None:
    """The end of lines of another system, a mark at the beginning, aliases, and as many brackets as anybody needs."""
    for text in (HEAD + FIELDS, (HEAD + FIELDS).replace("\n", "\r\n"), HEAD + FIELDS + f"# {'[' * DEEPEST}\n"):
        assert _problems(text) == ()
    assert _problems(HEAD + "fields: [&f {column: a, crm: first_name}]\nset: {app: {b: &v x, c: *v}}\n") == ()


@example(b"\xff\xfe\0")
@example("\ufeff".encode() + (HEAD + FIELDS).encode())
@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-16", "surrogatepass")))
def test_any_bytes_give_a_set_or_problems(content: bytes) -> None:
    """What is no text, in any encoding."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        (directory / "connection.yaml").write_text(CONNECTION + "name: acme\n", encoding="utf-8")
        (directory / "a.yaml").write_bytes(content)
        with contextlib.suppress(MappingSetError):
            assert load(directory).set.connection.name == "acme"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A valid set."""
    (tmp_path / "connection.yaml").write_text(CONNECTION + "name: acme\n", encoding="utf-8")
    (tmp_path / "a.yaml").write_text(HEAD + FIELDS, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/tty", "nowhere", "loop.yaml"])
def test_a_file_that_is_none_is_a_problem(directory: Path, target: str) -> None:
    """It was passed over in silence, and the rows of its mapping with it."""
    (directory / "loop.yaml").symlink_to(target)
    with pytest.raises(MappingSetError, match=r"loop.yaml:1:1: cannot read the file"):
        load(directory)


def test_nobody_waits_for_a_pipe(directory: Path) -> None:
    """Opened as files are, it kept the reader until somebody wrote."""
    os.mkfifo(directory / "pipe.yaml")
    with pytest.raises(MappingSetError, match=r"pipe.yaml:1:1: cannot read the file: it is no regular file"):
        load(directory)


def test_a_large_file_is_not_read_whole(directory: Path) -> None:
    """A hundred gigabytes that take no place on the disk."""
    with (directory / "a.yaml").open("wb") as file:
        file.truncate(100 << 30)
    with pytest.raises(MappingSetError, match=r"a.yaml:1:1: cannot read the file: it is larger than 128 KiB"):
        load(directory)


def test_a_link_to_a_file_is_a_file(directory: Path) -> None:
    """As files come from a ConfigMap."""
    (directory / "a.yaml").rename(directory / "b.data")
    (directory / "a.yaml").symlink_to("b.data")
    assert [mapping.name for mapping in load(directory).set.mappings] == ["a"]


@pytest.mark.parametrize("what", ["directory", "/dev/zero", "pipe", "large", "bytes", "empty", "missing", "nul\0name"])
def test_a_secret_that_cannot_be_had(tmp_path: Path, what: str) -> None:
    """Names the file and what is wrong, at once. A device without an end took all memory, a pipe all time."""
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"x" * (1 << 20))
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "empty").write_bytes(b" \n")
    with pytest.raises(UnresolvedReferenceError, match="the file") as error:
        resolve(f"file:{what}", {}, tmp_path)
    assert error.value.advice


@pytest.mark.parametrize("token", ["two words", "two\nlines", "täken", "bell\a"])
def test_what_is_no_token_is_refused_before_it_is_sent(directory: Path, token: str) -> None:
    """As a header it ended the daemon; the sentence has the place in connection.yaml, and not the token."""
    (directory / "token").write_text(token, encoding="utf-8")
    (directory / "connection.yaml").write_text("crm: pipedrive\nname: acme\ncredentials: {api_token: file:token}\n")
    with pytest.raises(MappingSetError, match=r"connection.yaml:3:15: what is there is no API token") as error:
        account_of(load_directory(directory), {})
    assert token not in str(error.value)


def test_an_address_that_is_none_is_refused(directory: Path) -> None:
    """It was told as a defect of ours."""
    text = "crm: pipedrive\nname: acme\nurl: env:U\ncredentials: {api_token: env:T}\n"
    (directory / "connection.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(MappingSetError, match=r"connection.yaml:3:6: not an address of Pipedrive") as error:
        account_of(load_directory(directory), {"U": "ftp://canary@x", "T": "t"})
    assert "canary" not in str(error.value)
