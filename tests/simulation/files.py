"""The mapping files of a story, with lines of every direction, and what admins do to them while the daemon runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.engine import business
from tests.engine.rig import CONNECTION

TABLES = f"""
{business.TABLES}
alter table app.companies add site text, add staff integer, add memo integer, add motto text;
"""
DIRECTIONS = ("both", "send", "receive", "none")
EXTRAS = {"site": "website", "staff": "employee_count", "memo": "annual_revenue", "motto": "linkedin"}
"""Lines of the company beside those that nobody changes: column → field."""
FIRST = "  - {column: first, crm: first_name}"


@dataclass(frozen=True, slots=True)
class Setting:
    """What admins turn. A direction of None: the line is not there."""

    extras: Mapping[str, str | None] = field(
        default_factory=lambda: {"site": "receive", "staff": "send", "memo": "none", "motto": "both"}
    )
    conflict: str = "last_updated"
    longer: int | None = None
    """Only calls of so many seconds are sent."""
    narrow: bool = False
    """Only some persons, and deals that are not lost, are received."""

    def files(self) -> Mapping[str, str]:
        """The texts of all files."""
        lines = [
            f"  - {{column: {column}, crm: {crm}, direction: {self.extras[column]}}}"
            for column, crm in EXTRAS.items()
            if self.extras[column] is not None
        ]
        first = f"  - {{column: first, crm: first_name, conflict: {self.conflict}}}"
        only = f"only: {{send: {{seconds: {{from: {self.longer}, to: 1000000}}}}}}\nfields:"
        own = {name: _narrowed(name, text) if self.narrow else text for name, text in business.FILES.items()}
        return {
            "connection.yaml": CONNECTION,
            **own,
            "company.yaml": own["company.yaml"] + "\n".join(lines) + "\n",
            "contact.yaml": own["contact.yaml"].replace(FIRST, first),
            "call.yaml": own["call.yaml"].replace("fields:", only) if self.longer is not None else own["call.yaml"],
        }


NARROW = {"contact.yaml": "last_name: {not: Z}", "deal.yaml": "status: [open, won]"}


def _narrowed(name: str, text: str) -> str:
    return text.replace("fields:", f"only: {{receive: {{{NARROW[name]}}}}}\nfields:") if name in NARROW else text


@dataclass(slots=True)
class Admin:
    """Who edits the files. `history` tells since when which setting was in them."""

    directory: Path
    history: list[tuple[float, Setting]] = field(default_factory=list)

    def write(self, setting: Setting, at: float) -> None:
        """Puts a setting into the files."""
        self.history.append((at, setting))
        for name, text in setting.files().items():
            (self.directory / name).write_text(text, encoding="utf-8")

    def edit(self, dice: Random, at: float) -> Setting:
        """Turns one thing, and maybe another back."""
        _, now = self.history[-1]
        extras: dict[str, str | None] = {**Setting().extras}
        extras["motto"] = dice.choice((*DIRECTIONS, None, now.extras["motto"]))
        extras["site"] = dice.choice(("receive", "receive", "none", None))
        new = Setting(
            extras,
            dice.choice(("last_updated", "crm", "app")),
            dice.choice((None, 1500)),
            dice.choice((False, True)),
        )
        self.write(new, at)
        return new

    def in_force(self, at: float, grace: float) -> list[Setting]:
        """The settings that may have been in force at a time: edits take `grace` seconds."""
        before = [setting for since, setting in self.history if since <= at - grace]
        return before[-1:] + [setting for since, setting in self.history if at - grace < since <= at]

    def set_aside(self, column: str) -> bool:
        """True when a line was turned for a time: what both sides had, or got, meanwhile may stay as it was found."""
        return any(setting.extras[column] != Setting().extras[column] for _, setting in self.history)

    @property
    def ever_narrow(self) -> bool:
        """True when a filter ever kept out what is received otherwise."""
        return any(setting.narrow for _, setting in self.history)
