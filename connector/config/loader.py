"""A directory of YAML files to a `MappingSet`, or every problem in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePath
from typing import Final, TypeVar

from connector.config.connection import connection, literal_secrets, without_secrets
from connector.config.contents import read_bounded
from connector.config.mappings import mapping
from connector.config.nodes import LARGEST, MistakeError, compose
from connector.core.errors import MappingSetError
from connector.core.mapping import ConnectionSpec, MappingSet, MappingSpec, Position, Problem

T = TypeVar("T")
CONNECTION: Final = "connection.yaml"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid set and what is doubtful about it. `kept` are its files as they may be stored: without a secret."""

    set: MappingSet
    warnings: tuple[Problem, ...]
    kept: Mapping[str, str]


def load_set(directory: Path) -> MappingSet:
    """The set in a directory; MappingSetError with every problem found."""
    return load(directory).set


def load(directory: Path) -> Loaded:
    """The set in a directory with its warnings; MappingSetError with every problem found."""
    return parse_set(read_files(directory), name=directory.resolve().name, where=str(directory))


def read_files(directory: Path) -> dict[str, str]:
    """The YAML files of a set, name → content, by name."""
    try:
        paths = {str(path): path for path in sorted(directory.iterdir()) if _counts(path)}
    except OSError as error:
        raise MappingSetError((Problem(_start(directory), f"cannot read the directory: {error.strerror}"),)) from error
    contents, problems = _each(lambda path: _content(paths[path]), paths)
    if problems:
        raise MappingSetError(problems)
    return {PurePath(path).name: content for path, content in contents.items()}


def parse_set(files: Mapping[str, str], *, name: str, where: str = "") -> Loaded:
    """The set that files (name → content) of a directory `name` make; positions begin with `where`."""
    texts = {str(PurePath(where, file)): content for file, content in files.items()}
    roots, broken = _each(lambda path: compose(path, texts[path]), texts)
    others = [path for path in roots if PurePath(path).name != CONNECTION]
    specs, wrong = _each(lambda path: mapping(PurePath(path).stem).read(roots[path]), others)
    found, refused = _each(lambda path: connection(name).read(roots[path]), roots.keys() - set(others))
    problems = (*broken, *wrong, *refused, *_twice(specs.values()), *_files(texts, where))
    if problems:
        raise MappingSetError(tuple(sorted(problems)))
    (path, spec), *_rest = found.items()
    kept = {**files, CONNECTION: without_secrets(roots[path], texts[path])}
    warnings = (*literal_secrets(roots[path]), *_empty(specs, spec))
    return Loaded(MappingSet(spec, tuple(specs.values()), _digest(kept)), warnings, kept)


def _start(path: PurePath | str) -> Position:
    return Position(str(path), 1, 1)


def _counts(path: Path) -> bool:
    return path.suffix.lower() in (".yaml", ".yml") and not path.name.startswith(".") and not path.is_dir()


def _content(path: Path) -> str:
    try:
        return read_bounded(path, LARGEST).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MistakeError(Problem(_start(path), "the file is not UTF-8 text")) from error
    except OSError as error:
        raise MistakeError(Problem(_start(path), f"cannot read the file: {error.strerror}")) from error


def _each(read: Callable[[str], T], paths: Iterable[str]) -> tuple[dict[str, T], tuple[Problem, ...]]:
    """What could be read, by path, and the problems of the rest."""
    results: dict[str, T] = {}
    problems: list[Problem] = []
    for path in paths:
        try:
            results[path] = read(path)
        except MistakeError as mistake:
            problems.extend(mistake.problems)
    return results, tuple(problems)


def _twice(specs: Iterable[MappingSpec]) -> Iterator[Problem]:
    first: dict[str, MappingSpec] = {}
    for spec in specs:
        other = first.setdefault(spec.name, spec)
        if other is not spec:
            where = spec.keys.get("name", spec.at)
            yield Problem(where, f"the mapping name {spec.name!r} is already used in {other.at.file}")


def _files(texts: Iterable[str], where: str) -> Iterator[Problem]:
    names = {PurePath(path).name: path for path in texts}
    if CONNECTION not in names:
        yield Problem(_start(PurePath(where, CONNECTION)), "the file is missing: it names the CRM and the credentials")
    for name, path in names.items():
        if not name.endswith(".yaml"):
            yield Problem(_start(path), "mapping files end in .yaml")


def _empty(specs: Mapping[str, MappingSpec], spec: ConnectionSpec) -> Iterator[Problem]:
    if not specs:
        yield Problem(spec.at, "no mapping file stands beside it: nothing is synced", warning=True)


def _digest(files: Mapping[str, str]) -> str:
    digest = sha256()
    for name, content in sorted(files.items()):
        for part in (name.encode(), content.encode(errors="surrogatepass")):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
