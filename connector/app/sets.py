"""Mapping sets as the process uses them: loaded from a directory, with a CRM account made for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from connector.config.loader import parse_set, read_files
from connector.config.references import UnresolvedReferenceError, resolve
from connector.core.errors import MappingSetError
from connector.core.mapping import MappingSet, Problem
from connector.core.model import Lane
from connector.crm.clock import Clock as CrmClock
from connector.crm.pipedrive.adapter import PipedriveCRM
from connector.crm.pipedrive.urls import addresses
from connector.engine.clock import Clock
from connector.engine.context import Failures, Rules
from connector.obs.metrics import Metrics
from connector.ports import CRM

SUCCESS = range(200, 300)


@dataclass(frozen=True, slots=True)
class Account:
    """Where a CRM account is and how to get in, resolved."""

    url: str | None
    api_token: str


@dataclass(frozen=True, slots=True)
class LoadedSet:
    """A mapping set with the files it came from; `kept` are the same without secrets."""

    spec: MappingSet
    files: Mapping[str, str]
    kept: Mapping[str, str]
    directory: Path
    warnings: tuple[Problem, ...] = ()

    @property
    def name(self) -> str:
        """The connection's name."""
        return self.spec.connection.name


def load_directory(directory: Path) -> LoadedSet:
    """The set in a directory; MappingSetError with every problem."""
    files = read_files(directory)
    loaded = parse_set(files, name=directory.resolve().name, where=str(directory))
    return LoadedSet(loaded.set, files, loaded.kept, directory.resolve(), loaded.warnings)


def load_stored(files: Mapping[str, str], directory: str) -> LoadedSet:
    """A set as it was applied."""
    loaded = parse_set(files, name=Path(directory).name, where=directory)
    return LoadedSet(loaded.set, files, loaded.kept, Path(directory), loaded.warnings)


def account_of(loaded: LoadedSet, environ: Mapping[str, str]) -> Account:
    """Resolves the references of connection.yaml; MappingSetError with all that lead nowhere."""
    spec = loaded.spec.connection
    references = {"url": spec.url, "credentials.api_token": spec.credentials["api_token"]}
    found: dict[str, str | None] = {}
    problems: list[Problem] = []
    for path, reference in references.items():
        try:
            found[path] = resolve(reference, environ, loaded.directory) if reference is not None else None
        except UnresolvedReferenceError as error:
            problems.append(Problem(spec.keys.get(path, spec.at), f"{error.message}; {error.advice}"))
    problems += [Problem(spec.keys.get(path, spec.at), why) for path, why in _unfit(found)]
    if problems:
        raise MappingSetError(tuple(problems))
    return Account(found["url"], str(found["credentials.api_token"]))


def _unfit(found: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """What no client can be made with, and why. Never quotes what was found."""
    token = found.get("credentials.api_token") or ""
    if not (token.isascii() and token.isprintable()) or " " in token:
        yield "credentials.api_token", "what is there is no API token: it holds blanks, lines or other characters"
    try:
        addresses(found.get("url"))
    except ValueError as error:
        yield "url", str(error)


@dataclass(slots=True)
class Answers:
    """What the CRM last answered: when, and the trouble that an answer ends."""

    failures: Failures = field(default_factory=Failures)
    last: datetime | None = None


def make_crm(
    loaded: LoadedSet, account: Account, clock: Clock, metrics: Metrics, answers: Answers | None = None
) -> CRM:
    """The adapter for a set's CRM; its requests are counted and noted in `answers`."""
    heard = answers or Answers()
    spec = loaded.spec.connection

    def observe(endpoint: str, status: int, seconds: float, tokens: float, lane: Lane) -> None:
        metrics.crm_requests.labels(spec.name, endpoint, str(status)).inc()
        metrics.crm_request_seconds.labels(endpoint).observe(seconds)
        metrics.crm_tokens.labels(spec.name, lane.name.lower()).inc(tokens)
        if status > 0:
            heard.last = clock.now()
        if status in SUCCESS:
            heard.failures.succeeded()

    return PipedriveCRM(
        api_token=account.api_token,
        clock=CrmClock(clock.now, clock.monotonic, clock.sleep),
        url=account.url,
        access=spec.access,
        budget=spec.budget,
        identity_field=spec.identity_field,
        observe=observe,
    )


def refuse_move(old: LoadedSet, new: LoadedSet) -> None:
    """MappingSetError when the edited file means another account: its links would be read as this one's."""
    was, becomes = old.spec.connection, new.spec.connection
    moved = [key for key in ("name", "crm", "url", "credentials") if getattr(was, key) != getattr(becomes, key)]
    if moved:
        message = f"{' and '.join(moved)} cannot change while the connection runs; restart it"
        raise MappingSetError((Problem(becomes.at, message),))


def same_client(old: LoadedSet, new: LoadedSet) -> bool:
    """False when what the CRM's client and its webhooks were made with has changed."""
    was, becomes = old.spec.connection, new.spec.connection
    made_with = ("access", "budget", "identity_field", "webhooks")
    return all(getattr(was, key) == getattr(becomes, key) for key in made_with)


def refuse_errors(rules: Rules) -> None:
    """MappingSetError when the set does not fit the two schemas."""
    if rules.errors:
        raise MappingSetError(rules.errors)
