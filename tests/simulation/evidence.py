"""Laws about what was done on the way, by what the witness and the diary saw and the journal says."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import asyncpg

from tests.simulation.diary import Page, read
from tests.simulation.files import EXTRAS, Setting
from tests.simulation.stage import EPOCH
from tests.simulation.story import Story
from tests.simulation.witness import Call, Deed

GRACE = 60.0
"""Seconds after an edit of the files in which the old ones may still be in force."""
HEARS = 1.0
"""Seconds within which somebody who went on hears that he owns nothing any more."""
MAPPINGS = {"companies": "company", "contacts": "contact", "deals": "deal", "calls": "call"}
KINDS = {"companies": "organization", "contacts": "person", "deals": "deal", "calls": "activity"}
NEVER_RECEIVED = {"calls": None, "contacts": {"id"}, "deals": {"id"}, "companies": {"id"}}
"""Columns that the connector never writes (None: all of them)."""
FIELDS: Mapping[str, Mapping[str, str]] = {
    "companies": {"address": "address"},
    "contacts": {"first": "first_name", "phone": "phones"},
    "deals": {"amount": "value", "state": "status"},
    "calls": {},
}
"""Columns of lines that go both ways, and their fields."""
PHONE = re.compile(r"\+[0-9 ]+")
"""What the CRM may store without the blanks."""


@dataclass(slots=True)
class Evidence:
    """All that was seen of a story."""

    story: Story
    pages: Sequence[Page]
    entries: Sequence[Mapping[str, Any]]
    olds: Mapping[tuple[str, str], set[str]] = field(init=False)
    """(mapping, key) and (object, CRM id) → the values that the journal says were replaced, or lost."""

    def __post_init__(self) -> None:
        """Sorts what the journal says by records."""
        olds: dict[tuple[str, str], set[str]] = defaultdict(set)
        for entry in self.entries:
            place = (
                (entry["mapping"], entry["app_key"]) if entry["side"] == "app" else (entry["object"], entry["crm_id"])
            )
            for line in json.loads(entry["lines"]).values():
                olds[place] |= set(_scalars(line.get("old"))) | set(_scalars((line.get("loser") or {}).get("value")))
        self.olds = olds

    def broken(self) -> Iterator[str]:
        """What broke a law."""
        yield from self._written_rows()
        yield from self._written_records()
        yield from self._rows_unseen()
        yield from self._records_unseen()
        yield from self._last_words()
        yield from self._without_cause()
        yield from self._deleted_records()
        yield from self._deleted_rows()
        yield from self._keys()
        yield from self._limits()

    # --- directions --------------------------------------------------------------------------------------------------

    def _written_rows(self) -> Iterator[str]:
        """A line that is not received is never written into a row."""
        for page in self.pages:
            if not page.ours or page.op == "DELETE":
                continue
            at = (page.at - EPOCH).total_seconds()
            settings = self.story.admin.in_force(at, GRACE)
            new = {name for name, value in page.new.items() if value is not None}
            for column in sorted(page.changed() if page.op == "UPDATE" else new):
                if not any(_receives(setting, page.table, column, page.op) for setting in settings):
                    yield f"{page.op} wrote app.{page.table}.{column} of {page.key}, which is not received"

    def _written_records(self) -> Iterator[str]:
        """A line that is not sent is never written into a record."""
        for call in self.story.witness.writes():
            settings = self.story.admin.in_force(call.at, GRACE)
            for key in sorted(call.body or ()):
                if not any(_sends(setting, str(call.object), key) for setting in settings):
                    yield f"{call.method} {call.path} at {call.at:.3f} wrote {key}, which is not sent"

    # --- nothing is overwritten unseen -------------------------------------------------------------------------------

    def _rows_unseen(self) -> Iterator[str]:
        """What people wrote into a row and the connector replaced is in the journal."""
        theirs: dict[tuple[str, str], set[str]] = defaultdict(set)
        for page in self.pages:
            place = (page.table, str((page.new or page.old)["id"]))
            if not page.ours:
                renumbered = page.op == "INSERT" or page.old.get("id") != page.new.get("id")
                theirs[place] |= set(page.new) if renumbered else page.changed()
                continue
            for column in sorted(page.changed() & theirs[place] - {"crm_id", "archived_at"}):
                if not _said(page.old[column], self.olds.get((MAPPINGS[page.table], page.key), set())):
                    yield f"app.{page.table}.{column} of {page.key} was {page.old[column]!r}: overwritten unseen"
            theirs[place] -= page.changed()

    def _records_unseen(self) -> Iterator[str]:
        """What people wrote into a record and the connector replaced is in the journal or back, if every webhook came."""
        tally = self.story.stage.sandbox.deliverer.tally
        if tally.lost or tally.failed:
            return
        deeds = self.story.witness.deeds
        for call in self.story.witness.writes():
            if call.method != "PATCH" or call.before is None or call.body is None:
                continue
            said = self.olds.get((str(call.object), str(call.crm_id)), set())
            for key, value in call.body.items():
                was = call.before.get(key)
                if key == "custom_fields" or was == value or not _by_people(deeds, call, key) or _said(was, said):
                    continue
                if not self._came_back(call, key, was):
                    yield f"{call.path} {key} was {was!r} at {call.at:.3f}: overwritten unseen"

    def _came_back(self, call: Call, key: str, value: object) -> bool:
        """True when what a call put away won after the fact: we wrote it into the row, or into the record with our next write.

        Unless people have entered it in the CRM once more before.
        """
        record, said = (str(call.object), str(call.crm_id)), set(_scalars(value))
        columns = {(table, column) for table, lines in FIELDS.items() for column, name in lines.items() if name == key}
        rows = [
            ((page.at - EPOCH).total_seconds(), True)
            for page in self.pages
            for table, column in columns
            if page.ours
            and page.table == table
            and column in page.changed()
            and set(_scalars(page.new[column])) == said
            if (KINDS[table], str(page.new["crm_id"])) == record
        ]
        writes = [
            (deed.at, deed.ours, set(_scalars(fields[key])) == said)
            for deed in self.story.witness.deeds
            for fields in _edits(deed, record)
            if key in fields
        ]
        records = [(at, ours and same) for at, ours, same in writes if ours or same]
        return next((back for at, back in sorted(rows + records) if at > call.at), False)

    def _last_words(self) -> Iterator[str]:
        """The last value of each editor is on both sides, or on record as what lost or was replaced."""
        rows = {(page.table, str(page.new["id"])): page.new for page in self.pages if page.new}
        gone = {(page.table, page.key) for page in self.pages if page.op == "DELETE"}
        for (table, key), row in rows.items():
            if (table, key) in gone or row.get("crm_id") is None:
                continue
            record = KINDS[table], str(row["crm_id"])
            said = self.olds.get((MAPPINGS[table], key), set()) | self.olds.get(record, set())
            for column, name in FIELDS[table].items():
                for editor, value in self._words(table, key, column, record, name):
                    if set(_scalars(value)) != set(_scalars(row[column])) and not _said(value, said):
                        yield f"app.{table}.{column} of {key} is {row[column]!r}; the {editor}'s {value!r} is nowhere"

    def _words(
        self, table: str, key: str, column: str, record: tuple[str, str], name: str
    ) -> Iterator[tuple[str, object]]:
        """What people wrote last on either side.

        In the CRM only of a record that lives, for what was deleted may be unread, and only where every webhook came, for
        else nobody may know.
        """
        theirs = [page for page in self.pages if not page.ours and page.table == table and page.new]
        wrote = [page for page in theirs if str(page.new["id"]) == key and column in page.changed()]
        if wrote:
            yield "app", wrote[-1].new[column]
        tally = self.story.stage.sandbox.deliverer.tally
        edits = [fields for deed in self.story.witness.deeds if not deed.ours for fields in _edits(deed, record)]
        made = [fields[name] for fields in edits if name in fields]
        lives = self.story.stage.sandbox.world.has(record[0], int(record[1]))
        if made and lives and not tally.lost and not tally.failed:
            yield "CRM", made[-1]

    def _without_cause(self) -> Iterator[str]:
        """What nobody wrote in the CRM, of a record that is our own, never comes back into its row.

        The row names its record: one that was deleted and put back under its key has another by then.
        """
        made = {(e["object"], e["crm_id"]): e for e in self.entries if (e["side"], e["action"]) == ("crm", "create")}
        for page in self.pages:
            entry = made.get((KINDS[page.table], str(page.new.get("crm_id"))))
            if not page.ours or page.op != "UPDATE" or entry is None:
                continue
            for column in sorted(page.changed() & FIELDS[page.table].keys()):
                key = FIELDS[page.table][column]
                if not any(_touches(deed, entry, key) for deed in self.story.witness.deeds):
                    yield f"app.{page.table}.{column} of {page.key} was written, and nobody had written {key}"

    # --- no delete without evidence ----------------------------------------------------------------------------------

    def _deleted_records(self) -> Iterator[str]:
        """A record goes only after its row went."""
        keys = {(e["object"], e["crm_id"]): e["app_key"] for e in self.entries if e["crm_id"] and e["app_key"]}
        gone: set[tuple[str, str]] = set()
        for page in self.pages:
            if page.op == "DELETE" or (page.new and page.new["id"] != page.old.get("id", page.new["id"])):
                gone |= {(KINDS[page.table], str(page.old["crm_id"])) if "crm_id" in page.old else ("", "")}
                gone |= {(KINDS[page.table], f"key {page.key}")}
        for call in self.story.witness.writes():
            place = (str(call.object), str(call.crm_id))
            if call.method == "DELETE" and not {place, (place[0], f"key {keys.get(place)}")} & gone:
                yield f"{call.path} was deleted at {call.at:.3f}, and its row was not"

    def _deleted_rows(self) -> Iterator[str]:
        """A row goes only after its record went."""
        ids = {(e["mapping"], e["app_key"]): e["crm_id"] for e in self.entries if e["crm_id"] and e["app_key"]}
        gone = {
            (deed.op.partition(".")[0], str(deed.args[0]))
            for deed in self.story.witness.deeds
            if not deed.ours and deed.op.endswith((".delete", ".merge"))
        }
        for page in self.pages:
            known = {str(page.old.get("crm_id")), str(ids.get((MAPPINGS[page.table], page.key)))}
            if page.ours and page.op == "DELETE" and not {(KINDS[page.table], crm_id) for crm_id in known} & gone:
                yield f"app.{page.table} {page.key} was deleted, and its record {known} was not"

    # --- keys --------------------------------------------------------------------------------------------------------

    def _keys(self) -> Iterator[str]:
        """No two records carry one key of ours: a copy gets its own."""
        world = self.story.stage.sandbox.world
        for name in ("person", "organization", "deal"):
            codes = [each.code for each in world.fields.custom(name) if each.name == "Connector ID"]
            seen = Counter(
                record["custom_fields"].get(code) for code in codes for record in self.story.people.live(name)
            )
            yield from (f"{n} {name} records carry {key}" for key, n in seen.items() if key is not None and n > 1)

    # --- limits ------------------------------------------------------------------------------------------------------

    def _limits(self) -> Iterator[str]:
        """The burst window is never overrun; the day's budget may be, by what others spend.

        Who stood still while another took over asks once or twice before he hears of that.
        """
        for call in self.story.witness.overrun():
            if any(0 <= call.at - woken <= HEARS for woken in self.story.woken):
                continue
            yield f"{call.method} {call.path} at {call.at:.3f}: {call.status}, a window was exceeded"


async def gather(story: Story) -> Evidence:
    """Everything that was seen so far."""
    entries = await _journal(story.stage.db)
    return Evidence(story, await read(story.stage.db), entries)


async def _journal(db: asyncpg.Connection) -> list[Mapping[str, Any]]:
    return [dict(row) for row in await db.fetch("select * from connector.journal order by id")]


def _receives(setting: Setting, table: str, column: str, op: str) -> bool:
    never = NEVER_RECEIVED[table]
    if never is None or (column in never and op == "UPDATE"):
        return False
    direction = setting.extras.get(column, "both") if column in EXTRAS else "both"
    return direction in ("both", "receive")


def _sends(setting: Setting, name: str, key: str) -> bool:
    column = next((column for column, field_ in EXTRAS.items() if field_ == key), None)
    direction = setting.extras[column] if name == "organization" and column is not None else "both"
    return direction in ("both", "send") and key != "id"


def _by_people(deeds: Sequence[Deed], call: Call, key: str) -> bool:
    """True when people were the last to write this field of the record before the call."""
    for deed in reversed([d for d in deeds if d.at <= call.at]):
        if _writes(deed, call, key):
            return not deed.ours
    return False


def _writes(deed: Deed, call: Call, key: str) -> bool:
    if deed.op != f"{call.object}.update" or deed.args[0] != call.crm_id:
        return False
    return key in deed.args[1] and (not deed.ours or deed.at < call.at)


def _edits(deed: Deed, record: tuple[str, str]) -> Iterator[Mapping[str, Any]]:
    """The fields that a deed wrote into a record, which may be one of many."""
    if deed.op == f"{record[0]}.update" and str(deed.args[0]) == record[1]:
        yield deed.args[1]
    elif deed.op == "sandbox.bulk_update" and deed.args[0] == record[0]:
        yield from (fields for crm_id, fields in deed.args[1] if str(crm_id) == record[1])


def _touches(deed: Deed, entry: Mapping[str, Any], key: str) -> bool:
    """True when people may have changed a field of the record: edited it, or many at once, or merged others into it."""
    if deed.ours:
        return False
    if deed.op == f"{entry['object']}.update":
        return str(deed.args[0]) == entry["crm_id"] and key in deed.args[1]
    merged = deed.op == f"{entry['object']}.merge" and str(deed.args[1]["merge_with_id"]) == entry["crm_id"]
    return merged or (deed.op == "sandbox.bulk_update" and deed.args[0] == entry["object"])


def _said(value: Any, said: set[str]) -> bool:
    return set(_scalars(value)) <= said


def _scalars(value: Any) -> Iterator[str]:
    """What a value says, however it is spelt."""
    if isinstance(value, dict):
        yield from _scalars(value.get("value"))
    elif isinstance(value, list):
        primary = [each for each in value if isinstance(each, dict) and each.get("primary")]
        for each in primary or value or [None]:
            yield from _scalars(each)
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        yield f"{Decimal(str(value)).normalize():f}"
    elif isinstance(value, str) and value.replace(".", "", 1).isdigit():
        yield f"{Decimal(value).normalize():f}"
    elif isinstance(value, str) and PHONE.fullmatch(value):
        yield value.replace(" ", "")
    else:
        yield str(value or None)
