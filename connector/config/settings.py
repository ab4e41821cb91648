"""The process's settings: the only reader of environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, PlainValidator, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from connector.core.errors import ConnectorError

_PORTS: Final = range(65_536)


class SettingsError(ConnectorError):
    """A variable holds what it may not; names it, never its value."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen. Port 0: the system chooses."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """`HOST:PORT`, `[v6]:PORT` or `:PORT` (every interface); ValueError otherwise."""
        host, colon, port = text.strip().rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or int(port) not in _PORTS:
            raise ValueError("expected HOST:PORT")
        if ":" in host and not (host.startswith("[") and host.endswith("]")):
            raise ValueError("write an IPv6 address in brackets, [::1]:8080")
        return cls(host.strip("[]") or "0.0.0.0", int(port))  # noqa: S104 (asked for by leaving the host out)

    @property
    def loopback(self) -> bool:
        """True when only this machine can reach it."""
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class LogFormat(StrEnum):
    """How log lines look."""

    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """The least level that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _listen(value: Any) -> Any:  # noqa: ANN401 (whatever pydantic was given)
    return Listen.parse(value) if isinstance(value, str) else value


def _lower(value: Any) -> Any:  # noqa: ANN401 (whatever pydantic was given)
    return value.strip().lower() if isinstance(value, str) else value


_Listen = Annotated[Listen, NoDecode, PlainValidator(_listen)]


class Settings(BaseSettings):
    """DESIGN's table of variables. Empty variables count as unset."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    database_url: SecretStr | None = Field(None, validation_alias="DATABASE_URL")
    listen: _Listen = Field(Listen("127.0.0.1", 8080), validation_alias="CONNECTOR_LISTEN")
    admin: Annotated[Listen | None, NoDecode, PlainValidator(_listen)] = Field(
        None, validation_alias="CONNECTOR_ADMIN_LISTEN"
    )
    public_url: str | None = Field(None, validation_alias="CONNECTOR_PUBLIC_URL")
    secret_key: SecretStr | None = Field(None, validation_alias="CONNECTOR_SECRET_KEY")
    secret_key_old: SecretStr | None = Field(None, validation_alias="CONNECTOR_SECRET_KEY_OLD")
    admin_password: SecretStr | None = Field(None, validation_alias="CONNECTOR_ADMIN_PASSWORD")
    viewer_password: SecretStr | None = Field(None, validation_alias="CONNECTOR_VIEWER_PASSWORD")
    log: Annotated[LogFormat | None, BeforeValidator(_lower)] = Field(None, validation_alias="CONNECTOR_LOG")
    log_level: Annotated[LogLevel, BeforeValidator(_lower)] = Field(
        LogLevel.INFO, validation_alias="CONNECTOR_LOG_LEVEL"
    )

    @field_validator("public_url")
    @classmethod
    def _base_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("expected a URL such as https://sync.example.com")
        return value.rstrip("/")

    @property
    def admin_listen(self) -> Listen:
        """Where metrics and console are; the same as `listen` unless set."""
        return self.admin or self.listen


def load_settings() -> Settings:
    """The settings of this process; SettingsError names every variable that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()]
        raise SettingsError("\n".join(lines), "see the table of variables in the README") from None


def environ() -> Mapping[str, str]:
    """A copy of this process's variables, for `env:` references."""
    return MappingProxyType(dict(os.environ))
