"""The diary: a trigger of the test writes down everything that is done to the app's rows, and by whom."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

SCHEMA = """
create table public.diary (id bigserial, at timestamptz not null, name text not null,
  op text not null, ours boolean not null, old jsonb, new jsonb);
create function public.note() returns trigger language plpgsql security definer as $$
begin
  insert into public.diary (at, name, op, ours, old, new) values ((select true_at from public.simulated), tg_table_name, tg_op,
    pg_trigger_depth() = 1 and coalesce(current_setting('connector.origin', true), '') = tg_argv[0],
    case when tg_op <> 'INSERT' then to_jsonb(old) end, case when tg_op <> 'DELETE' then to_jsonb(new) end);
  return null;
end $$;
create function public.note_all() returns trigger language plpgsql security definer as $$
begin
  execute format($sql$insert into public.diary (at, name, op, ours, old)
    select (select true_at from public.simulated), %L, 'DELETE', false, to_jsonb(t) from app.%I t$sql$,
    tg_table_name, tg_table_name);
  return null;
end $$;
"""
TRIGGER = """
create trigger diary after insert or update or delete on app.{0} for each row execute function public.note('{1}');
create trigger diary_of_all before truncate on app.{0} for each statement execute function public.note_all();
"""
MAPPINGS = {"companies": "company", "contacts": "contact", "deals": "deal", "calls": "call"}
TRIGGERS = "".join(TRIGGER.format(table, f"test/{mapping}") for table, mapping in MAPPINGS.items())


@dataclass(frozen=True, slots=True)
class Page:
    """One row inserted, updated or deleted, by the connector (`ours`) or by people and what they set off."""

    number: int
    at: datetime
    """By the clock that is never wrong."""
    table: str
    op: str
    ours: bool
    old: Mapping[str, Any]
    new: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The key of the row, as it was before."""
        return str((self.old or self.new)["id"])

    def changed(self) -> frozenset[str]:
        """The columns that the statement changed."""
        return frozenset(name for name in self.new if self.old.get(name) != self.new[name]) if self.old else frozenset()


async def read(db: asyncpg.Connection) -> list[Page]:
    """Everything so far, in order."""
    rows = await db.fetch("select * from public.diary order by id")
    return [
        Page(
            r["id"], r["at"], r["name"], r["op"], r["ours"], json.loads(r["old"] or "{}"), json.loads(r["new"] or "{}")
        )
        for r in rows
    ]
