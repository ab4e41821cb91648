"""People who do more than edit: they delete and restore, merge, archive, copy, take back and make again.

Their calls of the CRM are its web app's or another program's: they meet neither our faults nor our limits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from connector.sandbox.model import Actor
from connector.sandbox.table import ARCHIVED, shelf_of
from tests.engine.business import EDITS, MARKS, OBJECTS, Business
from tests.simulation.files import EXTRAS

PAUSES = (0.0, 0.01, 0.2, 3.0, 70.0)
"""Seconds between the two halves of one edit."""
MOMENTS = (0.0, 0.01, 0.03, 0.1)
"""Seconds between edits that race."""
HURRY = (0.1, 0.3, 0.6, 1.0, 1.5)
"""Seconds between the edits of somebody who is in a hurry."""
LOOKS = 30
"""How often somebody looks whether a record is known yet."""
COPIED = {"deals": "title", "persons": "emails"}
MARKED = {"contacts": "email", "deals": "title"}
KINDS = {"contacts": "person", "deals": "deal"}


@dataclass(slots=True, kw_only=True)
class People(Business):
    """Both sides in the hands of people who do everything that the two systems offer."""

    tell_time: Callable[[], Awaitable[None]]
    """Tells the database the time."""
    habits: frozenset[str] = frozenset()
    """The deeds that people do in this story; none: all."""
    again: set[str] = field(default_factory=set)
    """Marks of rows that were made again: whoever restored their old records would make doubles himself."""

    async def edit(self, without: Collection[str] = ()) -> None:
        """One random deed on either side, of those that are usual here."""
        await self.tell_time()
        usual = (self.habits or DEEDS.keys()) - set(without) or {"edit_both"}
        deeds = {name: deed for name, deed in DEEDS.items() if name in usual}
        name = self.chance.choices(list(deeds), [weight for weight, _ in deeds.values()])[0]
        self.trace.append(name)
        await DEEDS[name][1](self)

    async def _pause(self) -> None:
        await asyncio.sleep(self.chance.choice(PAUSES))
        await self.tell_time()

    @property
    def somebody(self) -> Actor:
        """A user who is not the connector's."""
        return Actor(list(self.sandbox.world.users)[1], "app")

    def _do(self, verb: str, entity: str, key: int, *more: Any) -> Any:
        """What only the CRM's own pages offer."""
        done = self.sandbox.api.company.do(self.somebody, f"{entity}.{verb}", key, *more)
        self.sandbox.deliverer.pump()
        return done

    # --- the app -----------------------------------------------------------------------------------------------------

    async def insert_many(self) -> None:
        """Rows come in one statement."""
        mails = [f"{self.mark('person').replace(' ', '')}@x.test" for _ in range(self.chance.randint(2, 6))]
        sql = "insert into app.contacts (first, last, email, phone) select $2, 'Q', m, $3 from unnest($1::text[]) m"
        await self.db.execute(sql, mails, self.word(), self.phone())

    async def update_deals(self) -> None:
        """One statement for the state of many deals."""
        sql = "update app.deals set state = $1, amount = amount + 1 where id % 3 = $2"
        await self.db.execute(sql, self.chance.choice(("open", "won", "lost")), self.chance.randrange(3))

    async def delete_many(self) -> None:
        """One statement deletes many rows."""
        table = self.chance.choice(("contacts", "deals"))
        await self.db.execute(f"delete from app.{table} where id % 5 = $1", self.chance.randrange(5))

    async def truncate_deals(self) -> None:
        """All deals are struck off at once, and the calls that point to them."""
        self.apart.update([row["details"] for row in await self._rows("calls")])
        await self.db.execute("truncate app.deals, app.calls")

    async def update_archived(self) -> None:
        """Somebody edits a company whose firm was deleted."""
        sql = "update app.companies set address = $2 where id = $1"
        await self.db.execute(sql, await self.key("companies", "archived_at is not null"), self.word())

    async def enter_known(self) -> None:
        """Somebody enters a contact who is in the CRM already, and whom the connector knows, but does not receive."""
        mail = f"{self.mark('person').replace(' ', '')}@x.test"
        body = {"first_name": "New", "last_name": "Z", "emails": [{"value": mail, "primary": True}]}
        person = await self.crm("POST", "persons", body)
        known = """select exists (select 1 from connector.link
                   where object = 'person' and crm_id = $1 and state = 'excluded')"""
        for _ in range(LOOKS):
            await asyncio.sleep(0.1)
            if await self.db.fetchval(known, str(person["id"])):
                sql = """insert into app.contacts (first, last, email) select $1, 'Q', $2
                         where not exists (select 1 from app.contacts where email = $2)"""
                await self.tell_time()
                await self.db.execute(sql, self.word(), mail)
                return

    async def delete_call(self) -> None:
        """A call is struck off; its activity stays in the CRM."""
        key = await self.key("calls")
        self.apart.update([await self.db.fetchval("delete from app.calls where id = $1 returning details", key) or ""])

    async def truncate_calls(self) -> None:
        """All calls are struck off at once."""
        self.apart.update([row["details"] for row in await self._rows("calls")])
        await self.db.execute("truncate app.calls")

    async def own(self, table: str) -> int | None:
        """A random row that is called as its record is.

        A copy's row bears the name of the original until we hear of its own: who makes it again by then makes a double.
        """
        mark, records = MARKS[KINDS[table]], self.sandbox.world.tables[KINDS[table]]
        rows = [(row, records.get(row["crm_id"])) for row in await self._rows(table)]
        keys = [row["id"] for row, record in rows if record is None or mark(record) == row[MARKED[table]]]
        return self.chance.choice(keys) if keys else None

    async def renumber(self) -> None:
        """A row gets another key, unless others point to it."""
        table = self.chance.choice(("contacts", "deals"))
        with contextlib.suppress(asyncpg.ForeignKeyViolationError):
            key = await self.own(table)
            mark = await self.db.fetchval(
                f"update app.{table} set id = default where id = $1 returning {MARKED[table]}", key
            )
            self.again.add(mark)

    async def replace_row(self) -> None:
        """A row is deleted and made again in one transaction: under another key, with or without its old CRM id."""
        table = self.chance.choice(("contacts", "deals"))
        kept = ", crm_id" if self.chance.random() < 0.3 else ""
        columns = {"contacts": "first, last, email, phone", "deals": "title, amount, currency, state"}[table] + kept
        sql = f"""with old as (delete from app.{table} where id = $1 returning *)
                  insert into app.{table} ({columns}) select {columns} from old returning {MARKED[table]}"""
        self.again.add(await self.db.fetchval(sql, await self.own(table)))

    async def put_back(self) -> None:
        """A row is deleted, and a while later it is back under its own key."""
        row = await self.db.fetchrow("select * from app.deals where id = $1", await self.own("deals"))
        if row is None:
            return
        await self.db.execute("delete from app.deals where id = $1", row["id"])
        await self._pause()
        self.again.add(row["title"])
        await self.db.execute(
            "insert into app.deals (id, title, amount, currency, state) overriding system value values ($1, $2, $3, $4, $5)",
            *(row[name] for name in ("id", "title", "amount", "currency", "state")),
        )

    async def insist(self) -> None:
        """A contact's name is changed again and again, faster than it can be sent."""
        key = await self.key("contacts")
        for number in range(4):
            await self.db.execute("update app.contacts set first = $2 where id = $1", key, f"Name {number}")
            await asyncio.sleep(self.chance.choice(HURRY))
            await self.tell_time()

    async def take_back(self) -> None:
        """A contact's name is changed, and changed back."""
        key = await self.key("contacts")
        sql = "update app.contacts set first = $2 where id = $1"
        before = await self.db.fetchval("select first from app.contacts where id = $1", key)
        await self.db.execute(sql, key, "Oops")
        await self._pause()
        await self.db.execute(sql, key, before)

    async def update_extra(self) -> None:
        """A company's further columns change, each of another direction."""
        column, value = self._extra()
        key = await self.key("companies", "crm_id is not null")
        await self.db.execute(f"update app.companies set {column} = $2 where id = $1", key, value)

    def _extra(self) -> tuple[str, Any]:
        column = self.chance.choice(tuple(EXTRAS))
        number = self.chance.randrange(1, 1000)
        return column, number if column in ("staff", "memo") else f"https://{number}.test"

    # --- the CRM -----------------------------------------------------------------------------------------------------

    async def patch_back(self) -> None:
        """A person's name is changed in the CRM, and changed back."""
        key = self.record("persons")
        if key is None:
            return
        before = self.sandbox.world.get("person", key) or {}
        await self._edit("persons", key, {"first_name": "Oops"})
        await self._pause()
        await self._edit("persons", key, {"first_name": before["first_name"]})

    async def _edit(self, path: str, key: int, body: Mapping[str, Any]) -> None:
        """An edit of a record that may be gone by now."""
        record = self.sandbox.world.get(OBJECTS[path], key)
        if record is not None and not record["is_deleted"] and not record.get("is_archived"):
            await self.crm("PATCH", f"{path}/{key}", body)

    async def patch_extra(self) -> None:
        """A firm's further fields change, each of another direction."""
        column, value = self._extra()
        await self._patch("organizations", {EXTRAS[column]: value})

    async def race(self) -> None:
        """Both sides edit one person several times, moments apart."""
        rows = await self.db.fetch("select id, crm_id from app.contacts where crm_id is not null order by id")
        if not rows:
            return
        row = self.chance.choice(rows)
        for _ in range(3):
            await self._edit("persons", row["crm_id"], {"first_name": self.word() or "Max"})
            await asyncio.sleep(self.chance.choice(MOMENTS))
            column, value = self.chance.choice([("first", self.word()), ("phone", self.phone())])
            await self.db.execute(f"update app.contacts set {column} = $2 where id = $1", row["id"], value)
            await asyncio.sleep(self.chance.choice(MOMENTS))

    async def patch_call(self) -> None:
        """Somebody edits what only the app may say."""
        calls = [record["id"] for record in self.live("activity")]
        if calls:
            await self.crm("PATCH", f"activities/{self.chance.choice(calls)}", {"subject": "Not what it was"})

    async def patch_unheard(self) -> None:
        """Many records are changed at once, of which no webhook tells."""
        ids = [record["id"] for record in self.live("person") if record["id"] % 3 == 0]
        body = {"first_name": self.word() or "Max"}
        updates = {"entity": "person", "user_id": self.somebody.user_id, "updates": [[key, body] for key in ids]}
        self.sandbox.control.answer("POST", "bulk", updates)

    async def restore_organization(self) -> None:
        """A deleted firm comes back, unless there is another in its place, or it became part of another."""
        await self._restore("organization")

    async def firm_comes_back(self) -> None:
        """A firm is deleted, somebody who belongs to it is edited, and it comes back."""
        key = self.record("organizations")
        if key is None:
            return
        name = MARKS["organization"](self.sandbox.world.get("organization", key) or {})
        await self.crm("DELETE", f"organizations/{key}")
        await self._pause()
        await self.update_contact()
        await self._pause()
        if name not in {MARKS["organization"](r) for r in self.live("organization")} | self.again:
            self._do("restore", "organization", key)

    async def restore_record(self) -> None:
        """A deleted person or deal comes back, unless there is another in its place by now."""
        await self._restore(self.chance.choice(("person", "deal")))

    async def _restore(self, entity: str) -> None:
        mark, table = MARKS[entity], self.sandbox.world.tables[entity]
        there = {mark(record) for record in table.records() if not record["is_deleted"]} | self.again
        gone = [record["id"] for record in table.records() if mark(record) not in there]
        if gone:
            self._do("restore", entity, self.chance.choice(sorted(gone)))

    async def merge(self) -> None:
        """Two records turn out to be one."""
        path = self.chance.choice(tuple(OBJECTS))
        ids = [record["id"] for record in self.live(OBJECTS[path])]
        if len(ids) > 1:
            loser, survivor = self.chance.sample(ids, 2)
            self.again.add(MARKS[OBJECTS[path]](self.sandbox.world.get(OBJECTS[path], loser) or {}))
            self._do("merge", OBJECTS[path], loser, {"merge_with_id": survivor})

    async def archive(self) -> None:
        """A deal goes to the archive."""
        if key := self.record("deals"):
            await self.crm("PATCH", f"deals/{key}", {"is_archived": True})

    async def unarchive(self) -> None:
        """A deal comes out of the archive."""
        deals = self.archived()
        if deals:
            await self.crm("PATCH", f"deals/{self.chance.choice(deals)}", {"is_archived": False})

    def archived(self) -> list[int]:
        """The deals in the archive."""
        return [r["id"] for r in self.sandbox.world.tables["deal"].records() if shelf_of(r) == ARCHIVED]

    async def duplicate(self) -> None:
        """A record is copied, and the copy gets a name of its own a while later."""
        path = self.chance.choice(tuple(COPIED))
        key = self.record(path)
        if key is None:
            return
        copy = self._do("duplicate", OBJECTS[path], key)["id"]
        await self._pause()
        mark = self.mark("Copy")
        mails = [{"value": f"{mark.replace(' ', '')}@x.test", "primary": True}]
        await self._edit(path, copy, {"title": mark} if path == "deals" else {"emails": mails})

    async def make_again(self) -> None:
        """A record is deleted, and made again a while later."""
        key = self.record("persons")
        if key is None:
            return
        person = self.sandbox.world.get("person", key) or {}
        await self.crm("DELETE", f"persons/{key}")
        await self._pause()
        mark = MARKS["person"](person)
        self.again.add(mark)
        if all(MARKS["person"](record) != mark for record in self.live("person")):
            await self.crm("POST", "persons", {"name": "Once More", "emails": person["emails"]})

    async def tidy_up(self) -> None:
        """What may not be left as it is when a story ends: archives are opened."""
        for key in self.archived():
            await self.crm("PATCH", f"deals/{key}", {"is_archived": False})


DEEDS: Mapping[str, tuple[int, Callable[[Any], Awaitable[Any]]]] = {
    **EDITS,
    "restore_organization": (1, People.restore_organization),
    "insert_many": (1, People.insert_many),
    "update_deals": (1, People.update_deals),
    "delete_many": (1, People.delete_many),
    "truncate_deals": (1, People.truncate_deals),
    "update_archived": (1, People.update_archived),
    "enter_known": (3, People.enter_known),
    "firm_comes_back": (1, People.firm_comes_back),
    "delete_call": (1, People.delete_call),
    "truncate_calls": (1, People.truncate_calls),
    "renumber": (1, People.renumber),
    "replace_row": (1, People.replace_row),
    "put_back": (1, People.put_back),
    "insist": (2, People.insist),
    "take_back": (1, People.take_back),
    "patch_back": (1, People.patch_back),
    "update_extra": (2, People.update_extra),
    "patch_extra": (2, People.patch_extra),
    "race": (3, People.race),
    "patch_call": (1, People.patch_call),
    "patch_unheard": (1, People.patch_unheard),
    "restore_record": (2, People.restore_record),
    "merge": (2, People.merge),
    "archive": (2, People.archive),
    "unarchive": (1, People.unarchive),
    "duplicate": (2, People.duplicate),
    "make_again": (1, People.make_again),
}
