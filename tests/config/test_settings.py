"""The environment, read once, with errors that name the variable and no value."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.config.references import UnresolvedReferenceError, resolve
from connector.config.settings import Listen, LogFormat, LogLevel, SettingsError, environ, load_settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environ():
        if name.startswith("CONNECTOR_") or name == "DATABASE_URL":
            monkeypatch.delenv(name)


def test_defaults() -> None:
    """Nothing is set."""
    found = load_settings()
    assert (found.database_url, found.public_url, found.secret_key, found.log) == (None, None, None, None)
    assert found.listen == found.admin_listen == Listen("127.0.0.1", 8080)
    assert found.log_level is LogLevel.INFO


def test_every_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that DESIGN names; secrets do not show."""
    for name, value in {
        "DATABASE_URL": "postgresql://u:hidden@h/db",
        "CONNECTOR_LISTEN": "0.0.0.0:80",
        "CONNECTOR_ADMIN_LISTEN": "[::1]:9090",
        "CONNECTOR_PUBLIC_URL": "https://sync.example.com/base/",
        "CONNECTOR_SECRET_KEY": "hidden1",
        "CONNECTOR_SECRET_KEY_OLD": "hidden2",
        "CONNECTOR_ADMIN_PASSWORD": "hidden3",
        "CONNECTOR_VIEWER_PASSWORD": "hidden4",
        "CONNECTOR_LOG": "JSON",
        "CONNECTOR_LOG_LEVEL": "Debug",
    }.items():
        monkeypatch.setenv(name, value)
    found = load_settings()
    assert found.database_url is not None
    assert found.database_url.get_secret_value() == "postgresql://u:hidden@h/db"
    assert (found.listen, found.admin_listen) == (Listen("0.0.0.0", 80), Listen("::1", 9090))
    assert found.public_url == "https://sync.example.com/base"
    assert (found.log, found.log_level) == (LogFormat.JSON, LogLevel.DEBUG)
    assert "hidden" not in repr(found)


def test_empty_variables_are_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """As compose files write them."""
    monkeypatch.setenv("CONNECTOR_LISTEN", "")
    monkeypatch.setenv("DATABASE_URL", "")
    assert load_settings().listen.port == 8080
    assert load_settings().database_url is None


def test_wrong_variables_are_all_named_without_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line each."""
    monkeypatch.setenv("CONNECTOR_LISTEN", "s3cret")
    monkeypatch.setenv("CONNECTOR_PUBLIC_URL", "s3cret")
    monkeypatch.setenv("CONNECTOR_LOG_LEVEL", "s3cret")
    with pytest.raises(SettingsError) as error:
        load_settings()
    lines = error.value.message.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "CONNECTOR_LISTEN", "CONNECTOR_PUBLIC_URL", "CONNECTOR_LOG_LEVEL",
    ]  # fmt: skip
    assert lines[0] == "CONNECTOR_LISTEN: expected HOST:PORT"
    assert "s3cret" not in error.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [("localhost:1", ("localhost", 1)), (":0", ("0.0.0.0", 0)), ("[::]:65535", ("::", 65535)), (" a.b:8 ", ("a.b", 8))],
)
def test_listen_forms(text: str, expected: tuple[str, int]) -> None:
    """HOST:PORT in its forms, and back to text."""
    found = Listen.parse(text)
    assert (found.host, found.port) == expected
    assert Listen.parse(str(found)) == found


@pytest.mark.parametrize("text", ["8080", "localhost", "localhost:", "h:65536", "::1:80", "h:-1", "h:x", "h:٣", ""])
def test_what_is_no_host_and_port_is_refused(text: str) -> None:
    """A port alone is ambiguous enough."""
    with pytest.raises(ValueError, match=r"expected|brackets"):
        Listen.parse(text)


def test_loopback() -> None:
    """Only then a password may be left out."""
    assert all(Listen(host, 1).loopback for host in ("127.0.0.1", "127.1.2.3", "localhost", "::1"))
    assert not any(Listen(host, 1).loopback for host in ("0.0.0.0", "::", "10.0.0.1", "example.com"))


def test_references(tmp_path: Path) -> None:
    """A variable, a file beside connection.yaml or elsewhere, or the text itself."""
    (tmp_path / "token").write_text("from-file\n", encoding="utf-8")
    variables = {"TOKEN": " from-env "}
    assert resolve("env:TOKEN", variables, tmp_path) == "from-env"
    assert resolve("file:token", variables, tmp_path) == "from-file"
    assert resolve(f"file:{tmp_path}/token", variables, Path("/nowhere")) == "from-file"
    assert resolve("literal", variables, tmp_path) == "literal"


@pytest.mark.parametrize("reference", ["env:TOKEN", "env:EMPTY", "file:token", "file:empty", "file:."])
def test_a_reference_that_leads_nowhere_is_named(reference: str, tmp_path: Path) -> None:
    """By its variable or path."""
    (tmp_path / "empty").touch()
    with pytest.raises(UnresolvedReferenceError) as error:
        resolve(reference, {"EMPTY": ""}, tmp_path)
    assert reference.partition(":")[2].strip(".") in error.value.message
